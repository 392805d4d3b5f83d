"""`rfe ablate`: what each part of the model is worth."""

from typing import TYPE_CHECKING, Annotated

import typer

from rfe import api
from rfe.api.ablation_question import Asked
from rfe.cli.command import INTERRUPTED, Settings, command
from rfe.cli.completion import complete_plan, complete_study
from rfe.cli.options import Address, AsJson, DataOrKnown, Overrides, Workers
from rfe.cli.output import print_heading, print_json, print_lines, print_table, show_bounds
from rfe.formatting import SIGNED, format_value

if TYPE_CHECKING:
    from rfe.ablation.compare import ArmComparison
    from rfe.ablation.result import AblationResult
    from rfe.ablation.study import Ablation


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: rfe ablate components --from everything --name which-part")(ablate)


@command
def ablate(
    settings: Settings,
    plan: Annotated[
        str,
        typer.Argument(
            metavar="PLAN",
            show_default=False,
            autocompletion=complete_plan,
            help="A plan's file, or a ready-made one's name.",
        ),
    ],
    data: DataOrKnown = None,
    base: Annotated[
        str | None, typer.Option(metavar="CONFIG", show_default=False, help="A configuration file as the base.")
    ] = None,
    from_study: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STUDY",
            show_default=False,
            autocompletion=complete_study,
            help="Use a study's best trial as the base.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(show_default=False, help="Of the ablation; default the plan's.")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=3, show_default=False, help="Of each arm; default the plan's.")
    ] = None,
    retune: Annotated[
        int | None,
        typer.Option(min=1, show_default=False, help="Trials that tune base and each arm before they are compared."),
    ] = None,
    workers: Workers = None,
    address: Address = None,
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the arms without training.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a base and arms that differ from it in one thing each, with fresh seeds, and compare them in pairs."""
    workspace = settings.workspace()
    asked: Asked = {
        "base": base,
        "from_study": from_study,
        "name": name,
        "seeds": seeds,
        "retune": retune,
        "overrides": overrides or (),
    }
    if dry_run:
        ablation = api.plan_ablation(plan, data, workspace=workspace, **asked)
        _print_plan(ablation, as_json=as_json)
        return
    with settings.progress() as progress:
        result = api.ablate(
            plan,
            data,
            workers=workers,
            address=address,
            workspace=workspace,
            progress=progress,
            **asked,
        )
    if result is None:
        print_lines("stopped; the same command resumes with the remaining arms")
        raise typer.Exit(INTERRUPTED)
    if as_json:
        print_json(result.to_dict())
    else:
        _print_result(result)


def _print_result(result: "AblationResult") -> None:
    from rfe.ablation.result import order_rows

    print_heading(
        f"ablation {result.name}: {len(result.rows)} arms, {result.n_seeds} seeds, {result.n_clips} clips of "
        f"{result.n_actors} actors"
    )
    print_lines(*(f"caveat: {sentence}" for sentence in result.caveats))
    print_table(
        ["arm", "Score", "presence", "salience", "difference", "95% interval", "P(better)", "p (Holm)", "verdict"],
        [_row(row) for row in order_rows(result.rows)],
    )
    if result.interactions:
        print_table(
            ["interaction: both changed, against the sum of each", "difference", "95% interval", "p (Holm)"],
            [
                [
                    " x ".join(f"{field} {a} -> {b}" for field, (a, b) in zip(one.fields, one.values, strict=True)),
                    format_value(one.interval.estimate, SIGNED),
                    show_bounds(one.interval),
                    format_value(one.p_holm, ".3f"),
                ]
                for one in result.interactions
            ],
        )
    if result.encoders:
        print_table(
            [
                "encoder of the base",
                "kept",
                "mean weight",
                "lost masked",
                "95% interval",
                "lost permuted",
                "95% interval",
            ],
            [
                [
                    one.encoder,
                    f"{one.kept_frequency:.2f}",
                    format_value(one.mean_weight, ".2f"),
                    format_value(one.lost_masked.estimate, SIGNED),
                    show_bounds(one.lost_masked),
                    format_value(one.lost_permuted.estimate, SIGNED),
                    show_bounds(one.lost_permuted),
                ]
                for one in result.encoders
            ],
        )
        print_lines(
            "a weight is not importance: lost is the Score without the encoder at evaluation; nothing is trained"
        )
    print_lines(
        *(f"no result: {arm}: {reason}" for arm, reason in result.failed.items()),
        *(f"no arm: {arm}: {reason}" for arm, reason in (result.left_out or {}).items()),
        f"smallest difference that one test would have found four times in five: {result.smallest_detectable:.3f}",
        "P(better): probability that the arm is better than the base",
        "no loss: not significant, and the 90% interval lies within .01 of 0; p by Holm over all arms with a verdict",
        "sweeps, encoders added in order and factorial cells are described pointwise, not tested",
        *result.notes,
    )


def _row(row: "ArmComparison") -> list[str]:
    own = [f"{one.estimate:.3f}" for one in (row.score, row.acc_presence, row.acc_salience)]
    one = row.difference
    if one is None:
        return [row.arm.name, *own, "", "", "", "", "base"]
    return [
        row.arm.name,
        *own,
        format_value(one.estimate, SIGNED),
        show_bounds(one),
        format_value(one.probability_better, ".2f"),
        format_value(row.p_holm, ".3f"),
        row.verdict,
    ]


def _print_plan(ablation: "Ablation", *, as_json: bool) -> None:
    plan = ablation.plan
    if as_json:
        print_json(
            {
                "name": plan.name,
                "seeds": plan.seeds,
                "retune": plan.retune,
                "arms": [{"name": arm.name, "family": arm.family, "changes": arm.changes} for arm in ablation.arms],
                "left_out": ablation.left_out,
            }
        )
        return
    print_heading(f"ablation {plan.name}: {len(ablation.arms)} arms, {plan.seeds} seeds each")
    print_table(
        ["arm", "kind", "changes"],
        [
            [arm.name, arm.family, ", ".join(f"{name}: {value}" for name, value in arm.changes.items())]
            for arm in ablation.arms
        ],
    )
    print_lines(*(f"no arm: {arm}: {reason}" for arm, reason in ablation.left_out.items()))
    if plan.encoders_in_order == "value":
        print_lines("then encoders one after the other, in the order of their Score alone, which is measured first")
    if plan.retune is not None:
        searched = ", ".join(plan.retune_space)
        print_lines(f"base and arms are each tuned by {plan.retune} trials beforehand, over {searched}")
