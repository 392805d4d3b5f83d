"""`rfe data`: simulate, fetch, import, aggregate, check."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.options import AsJson
from rfe.cli.output import print_heading, print_json, print_lines, print_table, short_path, typed_path

if TYPE_CHECKING:
    from rfe.data.aggregation import Aggregation
    from rfe.data.check import CheckReport
    from rfe.task import Task

group = typer.Typer(no_args_is_help=True, help="Fetch, make, import and check data folders.")
Folder = Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help="The folder.")]
NewFolder = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", show_default=False, help="The data folder to write.")
]
MOST_LABELS = 64
"""Of a task with very many pairs, in the table of `rfe data check`."""
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, show_default=False, help="Processes; default as many as pay, up to 4.")
]


def register(app: typer.Typer) -> None:
    """Add the group to the program."""
    app.add_typer(group, name="data")


@group.command(epilog="Example: rfe data simulate -o sim --actors 10 --test-actors 3 --clips-per-actor 20")
@command
def simulate(
    settings: Settings,
    output: NewFolder,
    actors: Annotated[int, typer.Option(help="Training actors, 5 or more.")] = 47,
    test_actors: Annotated[int, typer.Option(help="Test actors; 0 for no test clips.")] = 11,
    clips_per_actor: Annotated[
        int | None,
        typer.Option(show_default=False, help="2 to as many as the task has cells (54); default: all, at most 54."),
    ] = None,
    task: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="task.yaml: which labels there are; default: BlEmoRE's."),
    ] = None,
    size: Annotated[str, typer.Option(help="demo: six narrow encoders; full: seven as wide as published.")] = "demo",
    shift: Annotated[str, typer.Option(help="How far test actors differ: none, mild or strong.")] = "mild",
    missing: Annotated[float, typer.Option(help="Part of the clips that each encoder lacks.")] = 0.0,
    anonymous_actors: Annotated[bool, typer.Option("--anonymous-actors", help="Test clips without actors.")] = False,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal files.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Simulate a data set like the challenge's, with known truth; its files mark it as simulated."""
    from rfe.data.simulate import SimulationSpec, default_clips_per_actor
    from rfe.task import BLEMORE

    labels = BLEMORE if task is None else api.read_task(task)
    spec = SimulationSpec(
        actors=actors,
        test_actors=test_actors,
        clips_per_actor=default_clips_per_actor(labels) if clips_per_actor is None else clips_per_actor,
        size=size,  # type: ignore[arg-type]  # checked, with a sentence, by the simulator
        shift=shift,  # type: ignore[arg-type]
        missing=missing,
        anonymous_actors=anonymous_actors,
        seed=seed,
        task=labels,
    )
    with settings.progress() as progress:
        folder = api.simulate_data(spec, output, progress=progress)
    if as_json:
        print_json({"output": folder})
    else:
        print_lines(f"simulated data is in {short_path(folder)}", f"next: rfe data check {typed_path(folder)}")


@group.command(epilog="Example: rfe data fetch 15096942 -o blemore-download --unpack")
@command
def fetch(
    settings: Settings,
    record: Annotated[str, typer.Argument(show_default=False, help="Number, DOI or address of a public record.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", show_default=False, help="The folder for its files.")
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", show_default=False, help="Only such files, e.g. '*train*'; repeatable."),
    ] = None,
    unpack: Annotated[bool, typer.Option("--unpack", help="Unpack archives to their names without suffix.")] = False,
    api_address: Annotated[
        str | None,
        typer.Option("--api", metavar="URL", show_default=False, help="RFE_RECORDS_API, else https://zenodo.org/api."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download a public record and verify its checksums; running the same command again resumes the download."""
    with settings.progress() as progress:
        report = api.fetch_data(record, output, only=only or (), unpack=unpack, api=api_address, progress=progress)
    if as_json:
        print_json(report)
        return
    print_heading(f"{report.folder}: record {report.record}" + (f", {report.title}" if report.title else ""))
    print_table(
        ["file", "MB", "state", "checksum", "unpacked into"],
        [
            [one.name, one.size / 1e6, one.state, "fits" if one.checked else "none given", one.unpacked]
            for one in report.files
        ],
    )
    print_lines(*report.notes, f"next: rfe data import {typed_path(report.folder)} -o my-data")


@group.command("import", epilog="Example: rfe data import blemore-download -o my-data")
@command
def import_(
    settings: Settings,
    folder: Folder,
    output: NewFolder,
    mapping: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", show_default=False, help="YAML that describes the folder, where its layout is another."
        ),
    ] = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Make a data folder of the published record: metadata, series or statistics of every encoder, test clips.

    Clips that cannot be used are skipped and listed. The same command again resumes an interrupted import.
    """
    with settings.progress() as progress:
        report = api.import_data(folder, output, mapping=mapping, workers=workers, progress=progress)
    if as_json:
        print_json(report)
    else:
        print_lines(*(f"copied unchanged: {name}" for name in report.copied), *report.notes)
        _print_aggregations(report.aggregated)
        print_report(report.check)
    raise typer.Exit(0 if report.check.usable else 2)


@group.command(epilog="Example: rfe data aggregate ImageBind_train ImageBind_test -o my-data --encoder imagebind")
@command
def aggregate(
    settings: Settings,
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", show_default=False, help="Hold one series for each clip.")
    ],
    output: NewFolder,
    encoder: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="Its name; default: the folder's.")
    ] = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Turn per-clip time series (.npy or .csv) into one feature file: seven statistics of every channel."""
    with settings.progress() as progress:
        made = api.aggregate_data(folders, output, encoder=encoder, workers=workers, progress=progress)
    if as_json:
        print_json(made)
        return
    print_lines(f"{made.path}: {made.clips} clips, {made.dim} features")
    _print_aggregations([made])


def _print_aggregations(made: "Sequence[Aggregation]") -> None:
    """What went into feature files, and what did not, by reason."""
    from rfe.data.faults import list_names

    if resumed := sum(one.resumed for one in made):
        print_lines(f"{resumed} series were already done by an interrupted run")
    if made:
        print_table(
            ["encoder", "clips", "dimension", "clips skipped", "frames left out"],
            [[one.encoder, one.clips, one.dim, one.n_skipped, one.frames_left_out] for one in made],
        )
    skipped = [
        [one.encoder, reason, len(names), list_names(names)] for one in made for reason, names in one.skipped.items()
    ]
    if skipped:
        print_table(["encoder", "skipped because", "clips", "which"], skipped)
    for one in made:
        print_lines(*(f"{one.encoder}: {sentence}" for sentence in _explain(one)))


def _explain(made: "Aggregation") -> Iterator[str]:
    """What a person checks an encoder's features by."""
    from rfe.data.columns import is_ours, list_columns
    from rfe.data.faults import list_names

    yield from (f"{reason}: e.g. {example}" for reason, example in made.examples.items())
    if made.columns:
        yield f"channels ({len(made.columns)}): {list_columns(made.columns)}"
    if ours := [name for name in made.left_out if is_ours(name)]:
        yield f"columns of the metadata left out ({len(ours)}), label leaks as features: {list_columns(ours)}"
    if others := [name for name in made.left_out if not is_ours(name)]:
        yield (
            f"columns left out ({len(others)}), as they number, time, name, rate or label a frame: "
            f"{list_columns(others)}; name them under columns: in the mapping to take them"
        )
    if made.undetected_frames:
        yield f"{made.undetected_frames} frames are left out, as nothing was found in them (success is 0)"
    if made.incomplete_frames:
        example = f", e.g. {made.gap}" if made.gap else ""
        yield f"{made.incomplete_frames} frames are left out, as a channel is missing or not finite{example}"
    yield from (f"warning: {note}" for note in made.notes)
    if made.ignored:
        yield f"{len(made.ignored)} stray files not read: {list_names(made.ignored)}"


@group.command(epilog="Example: rfe data check my-data")
@command
def check(settings: Settings, folder: Folder, as_json: AsJson = False) -> None:
    """Describe a data folder and report what would invalidate a result; exit code 2 if anything would."""
    report = api.check_data(folder)
    if as_json:
        print_json(report.to_dict())
    else:
        print_report(report)
    raise typer.Exit(0 if report.usable else 2)


def print_report(report: "CheckReport") -> None:
    """Print the tables that describe a data folder."""
    print_heading(f"{report.folder}: {report.name}" + (" (simulated)" if report.simulated else ""))
    if report.source_clips is None:
        print_lines("clips, actors and folds: not known while the metadata have problems (below)")
    for what, clips, actors in (
        ("training", report.source_clips, report.source_actors),
        ("target", report.target_clips, report.target_actors),
    ):
        if clips is not None:
            known = "" if not clips else f" of {actors} actors" if actors else ", actors unknown"
            print_lines(f"{clips} {what} clips{known}")
    if report.task is not None:
        print_lines(describe_task(report.task))
    print_table(
        ["encoder", "features", "rows", "training clips", "target clips", "constant columns", "NaN or inf"],
        [
            [
                one.name,
                one.dim,
                one.rows,
                _percent(one.source_coverage),
                _percent(one.target_coverage),
                one.constant_columns,
                one.non_finite_values,
            ]
            for one in report.encoders
        ],
    )
    print_table(
        ["fold", "clips", "actors", "single", "blend"],
        [[one.fold, one.clips, one.actors or None, one.single, one.blend] for one in report.folds],
    )
    labels = list(report.sets.items()) if report.source_clips else []
    if len(labels) > MOST_LABELS:
        print_lines(f"the {MOST_LABELS} most frequent of {len(labels)} labels (--json has all):")
        labels = sorted(labels, key=lambda label: -label[1])[:MOST_LABELS]
    quarters = [labels[start : start + 4] for start in range(0, len(labels), 4)]
    print_table(["label", "clips"] * len(quarters), [[*chain(*row)] for row in zip(*quarters, strict=True)])
    for title, sentences in (("caveat", report.caveats), ("warning", report.warnings), ("PROBLEM", report.problems)):
        print_lines(*(f"{title}: {sentence}" for sentence in sentences))
    n = len(report.problems)
    print_lines("usable" if report.usable else f"not usable: {n} problem{'s' * (n != 1)} would invalidate a result")


def describe_task(task: "Task") -> str:
    """One line on the labels: classes, pairs, ratios, metric."""
    blends = "no blends"
    if task.pairs:
        ratios = f" at {task.ratio_list}" if task.ratios_percent else ", their ratio not asked"
        blends = f"{task.n_pairs} pairs{ratios}"
    alone = "" if all(task.alone) else f", {sum(task.alone) or 'none'} of them alone"
    return (
        f"task {task.name}: {task.n_classes} classes ({', '.join(task.classes)}){alone}; {blends}; "
        f"metric {task.metric}, submission {task.submission}"
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f}%" if share in (0.0, 1.0) else f"{100 * share:.1f}%"
