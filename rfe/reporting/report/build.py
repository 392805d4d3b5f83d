"""From names to a report: studies, ablations and ensembles of a workspace."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rfe.ablation.result import is_ablation
from rfe.data.dataset import load_dataset
from rfe.data.remote import local_folder
from rfe.ensemble.stored import StoredEnsemble, ensemble_names, read_ensemble, unknown_result
from rfe.errors import ConfigError, RfeError, StudyError
from rfe.journal.study import study_source
from rfe.metrics.intervals import FEW_ACTORS, FEWEST_ACTORS
from rfe.progress import Progress
from rfe.reporting.report.ablations import ablation_subject
from rfe.reporting.report.comparison import published_section, side_by_side
from rfe.reporting.report.document import ReportDocument, ReportSection
from rfe.reporting.report.ensembles import ensemble_subject
from rfe.reporting.report.studies import study_subject
from rfe.reporting.report.subject import ReportData, Subject
from rfe.workspace import StudyFolder, Workspace, find_study

GENERAL = (
    "Every number is out of fold and cross-fitted unless its name says otherwise; differences below .02 on one data "
    "set are not evidence.",
    "Intervals are over actors, and over seeds where there are several. They take the training sets as given.",
)


def build_report(
    names: Sequence[str], workspace: Workspace, place: Path | str | None, progress: Progress
) -> tuple[ReportDocument, tuple[StudyFolder | StoredEnsemble, ...]]:
    """Read everything that is named.

    Args:
        names: of studies, ablations and ensembles.
        workspace: holds them.
        place: the data folder; None: where it was when each was made. Without it what needs it is left out.
        progress: told of each name.

    Returns:
        The report, and what the names are of.

    Raises:
        ConfigError: nothing is named.
        StudyError: a name that nothing has, or something damaged.
    """
    if not names:
        raise ConfigError("report: name a study, an ablation or an ensemble (`rfe studies list` shows the studies)")
    names = list(dict.fromkeys(names))
    readers = [find_subject(workspace, name) for name in names]  # every name is known before anything is read
    progress.start("reading", len(names))
    subjects, datas = [], []
    for done, (kind, found) in enumerate(readers, 1):
        if isinstance(found, StoredEnsemble):
            data = _open(workspace, place or found.data, found.encoders, asked=place is not None)
            subjects.append(ensemble_subject(found, data))
        else:
            data = _study_data(workspace, found, place)
            subjects.append((ablation_subject if kind == "ablation" else study_subject)(found, data))
        datas.append(data)
        progress.update(done)
    return _assemble(subjects, datas), tuple(found for _, found in readers)


def find_subject(workspace: Workspace, name: str) -> tuple[str, StudyFolder | StoredEnsemble]:
    """(kind, where) of a name.

    Raises:
        StudyError: nothing is called so, with the nearest; or it is damaged.
    """
    folder = workspace.study(name)
    if folder.journal.is_file():
        return ("ablation" if is_ablation(folder) else "study"), folder
    ensembles = ensemble_names(workspace)
    if name in ensembles:
        return "ensemble", read_ensemble(workspace, name)
    if folder.exists():
        return "study", find_study(workspace, name)  # says what is missing
    raise StudyError(unknown_result(workspace, name))


def _study_data(workspace: Workspace, folder: StudyFolder, place: Path | str | None) -> ReportData:
    try:
        known, encoders = study_source(folder)
    except StudyError as error:
        return ReportData(None, str(error)) if place is None else _open(workspace, place, None, asked=True)
    return _open(workspace, place or known, encoders, asked=place is not None)


def _open(workspace: Workspace, place: Path | str, encoders: tuple[str, ...] | None, *, asked: bool) -> ReportData:
    """The data, or why it cannot be read; a place that the user asked for must be readable."""
    try:
        return ReportData(load_dataset(local_folder(place, workspace.cache), encoders))
    except (RfeError, OSError) as error:
        if asked:
            raise
        return ReportData(None, f"{error}; name the data folder with --data")


def _assemble(subjects: Sequence[Subject], datas: Sequence[ReportData]) -> ReportDocument:
    simulated = [subject.name for subject in subjects if subject.simulated]
    title = " + ".join(subject.name for subject in subjects)
    kinds = ", ".join(f"{subject.kind} {subject.name} on {subject.data_name or 'unknown data'}" for subject in subjects)
    lead = [f"Report on {kinds}."]
    if simulated:
        what = "The data is" if len(simulated) == len(subjects) else f"The data of {', '.join(simulated)} is"
        lead.insert(
            0, f"{what} simulated: this shows that a method recovers what was planted, not how it does on people."
        )
    sections = [side_by_side(subjects, "Scores" if len(subjects) == 1 else "Side by side")]
    if len(subjects) == 1:
        sections += subjects[0].sections
    else:
        for subject in subjects:
            sections.append(ReportSection(f"{subject.kind.capitalize()} {subject.name}", (), subject.sections))
    sections.append(published_section(subjects, [data.dataset for data in datas if data.dataset is not None]))
    caveats = [caveat for subject in subjects for caveat in subject.caveats]
    remarks = [remark for subject in subjects for remark in subject.remarks]
    return ReportDocument(
        f"{title}{' (simulated data)' if simulated else ''}",
        tuple(lead),
        tuple(_headlines(subjects)),
        tuple(dict.fromkeys([*caveats, *remarks, *GENERAL, *_few_actors(datas)])),
        tuple(sections),
        tuple(table for subject in subjects for table in subject.attached),
        {"made by": f"rfe {version('rfe')}", "on": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")},
    )


def _few_actors(datas: Sequence[ReportData]) -> Iterator[str]:
    """What the intervals of small data sets need beside them."""
    for dataset in (data.dataset for data in datas if data.dataset is not None):
        actors = dataset.clips.actor[: dataset.clips.n_source]
        if (actors >= 0).all() and 0 < len(set(actors.tolist())) < FEWEST_ACTORS:
            yield f"{dataset.name}: {FEW_ACTORS}."


def _headlines(subjects: Sequence[Subject]) -> list[str]:
    if len(subjects) == 1:
        return [one.sentence() for one in subjects[0].headlines] or [f"{subjects[0].name}: no trial has a score yet"]
    return [
        f"{subject.name}, {subject.headlines[0].sentence()}" if subject.headlines else f"{subject.name}: no score yet"
        for subject in subjects
    ]
