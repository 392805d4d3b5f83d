"""Studies as a notebook has them: searched, or of one configuration."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from rfe import api
from rfe.api import DEFAULT_MODELS, Source
from rfe.errors import StudyError
from rfe.notebook.annotating import Annotated
from rfe.notebook.answers import predict_exported
from rfe.notebook.control import Controlled
from rfe.notebook.places import DataLike, WorkspaceLike, find_data, find_data_folder, find_workspace
from rfe.notebook.progress import shown_progress
from rfe.notebook.shown import Shown, drop_empty
from rfe.notebook.watching import Watched
from rfe.progress import Progress
from rfe.search.options import RunOptions
from rfe.workspace import Workspace

if TYPE_CHECKING:
    from rfe.reporting.studies import StudyDetail, TrialLine
    from rfe.search.outcome import StudyOutcome
    from rfe.submission.layout import ModelKind

OPTIMISTIC = (
    "best is optimistic: the same clips chose it. selected is the study's result: each fold is answered by the trial "
    "that is best on the others."
)


@dataclass(frozen=True, repr=False)
class Study(Shown, Controlled, Annotated, Watched):
    """A study as it was when it was opened; returned by `search`, `fit` and `open_study`.

    Examples:
        >>> study = rfe.open_study("first")
        >>> study.scores.columns.tolist()
        ['score', 'acc_presence', 'acc_salience', 'trial']
        >>> sorted(study.best_config)
        ['pool', 'train.lr']
    """

    name: str
    workspace: Workspace
    outcome: "StudyOutcome | None" = field(default=None, compare=False)
    """How the search ended; None of a study that was only opened."""

    @cached_property
    def detail(self) -> "StudyDetail":
        """What `rfe studies show` knows."""
        return api.show_study(self.name, self.workspace, top=sys.maxsize, sort="number")

    @property
    def state(self) -> str:
        """`finished`, `stopped` (the same call goes on), `failed`, `running` or `interrupted`."""
        return self.detail.summary.state

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row for each trial: `state`, scores, `confirmed` (mean over fresh seeds), `seconds`, then what was
        searched by dotted name (a field that did not count in a trial is missing there), and `reason`."""
        lines = self.detail.trials
        names = list(dict.fromkeys(name for line in lines for name in line.searched))
        known = ("state", "score", "acc_presence", "acc_salience", "confirmed", "seconds")
        rows = [
            {
                **{name: getattr(line, name) for name in known},
                **{name: _plain(line.searched.get(name)) for name in names},
                "reason": line.reason,
            }
            for line in lines
        ]
        index = pd.Index([line.number for line in lines], name="trial", dtype="int64")
        table = pd.DataFrame(rows, index=index, columns=[*known, *names, "reason"])
        return table.astype(dict.fromkeys(known[1:], "float64"))

    @property
    def front(self) -> pd.DataFrame:
        """The trials that no other is better than in every objective, best in the first first; empty with one
        objective. Columns as `trials`."""
        return self.trials.loc[[line.number for line in self.detail.front]]

    @property
    def best(self) -> int:
        """Number of the trial that `export` takes: the best confirmed one, else the one with the best score.

        Raises:
            StudyError: no trial is complete.
        """
        return self._best_line.number

    @property
    def best_config(self) -> dict[str, Any]:
        """The best trial's configuration, dotted name -> value, without what is at its default."""
        from rfe.journal.study import read_trial
        from rfe.reporting.studies import changed_settings

        return changed_settings(read_trial(self.workspace.study(self.name), self.best))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The study's named numbers: `selected` (the result), `best` (optimistic), `confirmed` (fresh seeds)."""
        summary, best = self.detail.summary, self._best_line
        searched = max((line for line in self.detail.trials if line.score is not None), key=_score)
        rows = {
            "selected": (summary.score_selected, None, None, None),
            "best": (searched.score, searched.acc_presence, searched.acc_salience, searched.number),
            "confirmed": (best.confirmed, None, None, best.number if best.confirmed is not None else None),
        }
        if len(self.detail.trials) == 1:
            rows = {"crossfit": rows["best"]}
        table = pd.DataFrame.from_dict(rows, orient="index", columns=["score", "acc_presence", "acc_salience", "trial"])
        numbers = {"score": "float64", "acc_presence": "float64", "acc_salience": "float64", "trial": "Int64"}
        return table.astype(numbers).dropna(subset=["score"])

    def export(
        self,
        output: Path | str | None = None,
        *,
        trial: int | None = None,
        models: "ModelKind" = DEFAULT_MODELS,
        seeds: int | None = None,
        data: DataLike | None = None,
        progress: Progress | bool = True,
    ) -> Path:
        """Write the bundle of the best trial, or of `trial`: a folder or `NAME.zip`; see `rfe.api.export`."""
        with shown_progress(progress) as shown:
            return api.export(
                self.name,
                find_data_folder(data),
                trial=trial,
                models=models,
                seeds=seeds,
                output=None if output is None else Path(output),
                workspace=self.workspace,
                progress=shown,
            )

    def predict(self, data: DataLike | None = None, *, trial: int | None = None) -> pd.DataFrame:
        """The answers of the best trial, or of `trial`, to a data folder's test clips; None: the study's own data.

        Returns:
            As `rfe.predict`.
        """
        own = self.detail.settings.get("data.path")
        place = data if data is not None else own
        if place is None:
            raise StudyError(f"study {self.name!r} does not say where its data is; name it: predict(data)")
        return predict_exported(lambda path: self.export(path, trial=trial, progress=False), place)

    @property
    def _best_line(self) -> "TrialLine":
        lines = [line for line in self.detail.trials if line.score is not None]
        if not lines:
            raise StudyError(f"study {self.name!r} has no finished trial; resume it with `rfe.search`")
        confirmed = [line for line in lines if line.confirmed is not None]
        return max(confirmed, key=lambda line: line.confirmed or 0.0) if confirmed else max(lines, key=_score)

    def _heading(self) -> str:
        one = self.detail.summary
        counts = ", ".join(f"{count} {state}" for state, count in one.trials.items() if count)
        return f"study {one.name}: {one.state}, {counts or 'no trial yet'}"

    def _tables(self) -> Mapping[str, pd.DataFrame]:
        ranked = drop_empty(self.trials.sort_values(["score"], ascending=False))
        if not any(line.score is not None for line in self.detail.trials):
            return {"trials": ranked}
        return {"scores": drop_empty(self.scores), **({"trials": ranked} if len(ranked) > 1 else {})}

    def _notes(self) -> Sequence[str]:
        return [*([OPTIMISTIC] if len(self.detail.trials) > 1 else []), *self.detail.caveats]


def search(
    space: Source,
    data: DataLike | None = None,
    *,
    study: str | None = None,
    trials: int | None = None,
    hours: float | None = None,
    workers: int | None = None,
    seed: int | None = None,
    warm_start: str | Study | None = None,
    address: str | None = None,
    overrides: Sequence[str] = (),
    workspace: WorkspaceLike = None,
    progress: Progress | bool = True,
) -> Study:
    """Search a space for the best model, or resume the study of that name.

    Args:
        space: a YAML file, the name of a ready-made space (`everything`), or what such a file holds as a mapping.
        data: a folder, or what `load_data` returned; None: where the space says.
        study: its name; None: the space's.
        trials: size of the study, former trials included; None: the space's budget.
        hours: of search, added up over resumes.
        workers: how many train; None: one per GPU, else up to four per machine.
        seed: of a new study.
        warm_start: a study whose trials a new one learns from.
        address: of a Ray cluster; None: `RAY_ADDRESS`, else a local Ray that ends with the search.
        overrides: `name=value`, as given with `--set`.
        workspace: where the study is kept.
        progress: True draws it below the cell (or in the terminal); False draws nothing.

    Returns:
        The study; its `state` is `stopped` after an interrupt, and the same call goes on.

    Raises:
        RfeError: in a sentence what is wrong with the input; TrialError: no trial finished.

    Examples:
        >>> study = rfe.search("everything", data, trials=50)  # doctest: +SKIP
        >>> study.trials.sort_values("score").tail()  # doctest: +SKIP
    """
    earlier, place = warm_start.name if isinstance(warm_start, Study) else warm_start, find_workspace(workspace)
    options = RunOptions(trials, hours, workers, seed, earlier, address)
    with shown_progress(progress) as shown:
        outcome = api.search(
            space, find_data(data), options, study=study, overrides=overrides, workspace=place, progress=shown
        )
    return Study(outcome.study, place, outcome)


def fit(
    config: Source,
    data: DataLike,
    *,
    study: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    overrides: Sequence[str] = (),
    workspace: WorkspaceLike = None,
    progress: Progress | bool = True,
) -> Study:
    """Cross-validate one configuration as a study of one trial, which can be exported and used like any other.

    Args:
        config: a YAML file, a ready-made one (`baselines/concat_mlp`), or fields by dotted name; `{}`: the defaults.
        data: a folder, or what `load_data` returned.
        study: its name; None: the file's, or one made of the configuration's content.
        workers, address, overrides, workspace, progress: as `search`.

    Returns:
        The study.

    Raises:
        RfeError: in a sentence what is wrong with the input; TrialError: the configuration could not be trained.

    Examples:
        >>> model = rfe.fit({"model.n_kept": 3, "train.epochs": 30}, data)  # doctest: +SKIP
        >>> model.predict("new-clips")  # doctest: +SKIP
    """
    place = find_workspace(workspace)
    with shown_progress(progress) as shown:
        outcome = api.train(
            config,
            find_data(data),
            study=study,
            workers=workers,
            address=address,
            overrides=overrides,
            workspace=place,
            progress=shown,
        )
    return Study(outcome.study, place, outcome)


def open_study(name: str, *, workspace: WorkspaceLike = None) -> Study:
    """Open a study of the workspace, also one that is still running.

    Raises:
        StudyError: not found; suggests the closest name.

    Examples:
        >>> study = rfe.open_study("first")
        >>> study.state, study.best, len(study.trials)
        ('stopped', 4, 6)
    """
    study = Study(name, find_workspace(workspace))
    assert study.detail is not None  # what is not there is said now
    return study


def _score(line: "TrialLine") -> float:
    return line.score or 0.0


def _plain(value: Any) -> Any:
    """A value that pandas can group by."""
    return tuple(value) if isinstance(value, list) else value
