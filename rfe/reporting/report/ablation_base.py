"""The base of an ablation: how it answers, what its gate does, and what each encoder is worth to it."""

from collections.abc import Iterator

from rfe.ablation.arms import BASE
from rfe.ablation.encoder_value import EncoderValue
from rfe.ablation.result import AblationResult
from rfe.ablation.study import read_arms
from rfe.ablation.trials import arm_gate, arm_states, read_trials
from rfe.data.corruption import wrong_features
from rfe.data.dataset import Dataset
from rfe.reporting.report.answers import Answers
from rfe.reporting.report.calibration import calibration_blocks, candidate_states
from rfe.reporting.report.document import Axis, Block, Column, Figure, Panel, Points, ReportSection, Rule, Table, Text
from rfe.reporting.report.gates import GateOutputs, gate_blocks, noticed_blocks
from rfe.reporting.report.models import answer_section, guarded
from rfe.workspace import StudyFolder


def base_section(folder: StudyFolder, dataset: Dataset, result: AblationResult, prefix: str) -> ReportSection:
    """How the base answers.

    Args:
        folder: of the ablation's study.
        dataset: its data.
        result: the comparison; its base has a result.
        prefix: of the names of tables and figures.

    Raises:
        StudyError: the base's answers were not kept.
    """
    parts = read_arms(folder).parts[BASE]
    by_id, _ = read_trials(folder, dataset)
    where = f"ablation {folder.name!r}, base"
    candidates = [by_id[part.config_id] for part in parts]
    answers = Answers(dataset.clips, arm_states(parts, by_id, dataset, where))
    lead = "All of this is out of fold, of the base trained again with seeds that nothing was chosen by."

    def calibration() -> Iterator[Block]:
        if len(candidates) > 1:
            yield Text("Not shown: folds are answered by different configurations, each with its own decoder.")
            return
        yield from calibration_blocks(candidate_states(candidates[0], dataset), answers, prefix)

    def gate() -> Iterator[Block]:
        scores, kept = arm_gate(parts, by_id, dataset, where)
        outputs = GateOutputs(tuple(dataset.encoders), kept, scores.astype(float))
        configs = [one.config for one in candidates]
        yield from gate_blocks(outputs, configs, answers, prefix)
        if (wrong := wrong_features(dataset)) is not None:
            yield from noticed_blocks(outputs, wrong[: dataset.clips.n_source], configs, prefix)

    sections = [
        ReportSection("Calibration", tuple(guarded(calibration()))),
        ReportSection("What the gate kept", tuple(guarded(gate()))),
    ]
    if result.encoders:
        sections.append(
            ReportSection("What each encoder is worth", tuple(base_encoder_blocks(result.encoders, prefix)))
        )
    return answer_section("How the base answers", answers, lead, prefix, tuple(sections))


def base_encoder_blocks(values: tuple[EncoderValue, ...], prefix: str) -> Iterator[Block]:
    """Beside the gate's use of an encoder, the Score lost without it."""
    yield Text(
        "A gate's weight is not importance: beside it stands the Score that is lost when clips have no features of the "
        "encoder, or another clip's, at evaluation. Nothing is trained again, so the model had no chance to make up "
        "for it.",
    )
    names = tuple(one.encoder for one in values)

    def lost(name: str, kind: str, colour: str, symbol: str) -> Points:
        intervals = [getattr(one, kind) for one in values]
        return Points(
            name,
            [one.estimate for one in intervals],
            names,
            colour,  # type: ignore[arg-type]
            symbol,  # type: ignore[arg-type]
            low=[one.bounds()[0] for one in intervals],
            high=[one.bounds()[1] for one in intervals],
        )

    yield Figure(
        f"{prefix}encoder-value",
        "Score lost without an encoder",
        "Score lost when masked: " + ", ".join(f"{one.encoder} {one.lost_masked.estimate:+z.3f}" for one in values),
        (
            Panel(
                "",
                Axis("Score lost, with 95% interval"),
                Axis(categories=names),
                (
                    Rule("nothing lost", x=0.0),
                    lost("masked", "lost_masked", "blue", "circle"),
                    lost("permuted", "lost_permuted", "orange", "diamond"),
                ),
            ),
        ),
        "Paired by clip and seed, over actors and seeds.",
    )
    yield Table(
        f"{prefix}encoder-value",
        "Encoders of the base",
        (
            Column("encoder"),
            Column("kept", 2),
            Column("mean weight", 2),
            Column("lost masked", signed=True),
            Column("masked, lower 95%", signed=True),
            Column("masked, upper 95%", signed=True),
            Column("lost permuted", signed=True),
            Column("permuted, lower 95%", signed=True),
            Column("permuted, upper 95%", signed=True),
        ),
        tuple(
            (
                one.encoder,
                one.kept_frequency,
                one.mean_weight,
                one.lost_masked.estimate,
                *one.lost_masked.bounds(),
                one.lost_permuted.estimate,
                *one.lost_permuted.bounds(),
            )
            for one in values
        ),
    )
