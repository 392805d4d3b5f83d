"""Ensembles as a notebook has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from rfe import api
from rfe.api import DEFAULT_MODELS
from rfe.notebook.answers import predict_exported
from rfe.notebook.places import DataLike, WorkspaceLike, find_data_folder, find_workspace
from rfe.notebook.progress import shown_progress
from rfe.notebook.shown import Shown
from rfe.notebook.studies import Study
from rfe.progress import Progress
from rfe.workspace import Workspace

if TYPE_CHECKING:
    from rfe.ensemble.calibrated import Decoding
    from rfe.ensemble.selection import Method
    from rfe.submission.layout import ModelKind

NESTED = "nested: each fold is answered by what was chosen without its labels; intervals (95%) are over actors."


@dataclass(frozen=True, repr=False)
class Ensemble(Shown):
    """An average of trials; returned by `ensemble`."""

    built: api.BuiltEnsemble
    """What was chosen, for the functions of the package below."""
    workspace: Workspace

    @property
    def name(self) -> str:
        """Its name in the workspace."""
        return self.built.name

    @cached_property
    def members(self) -> pd.DataFrame:
        """One row for each member, the heaviest first: its weight in the sets' and in the ratios' average, and the
        trial's own score."""
        rows = [
            {
                "study": one.candidate.study,
                "trial": one.candidate.number,
                "weight": one.weight,
                "ratio_weight": one.ratio_weight,
                "score": one.candidate.score,
            }
            for one in self.built.result.ensemble.members
        ]
        return pd.DataFrame(rows).set_index(["study", "trial"])

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The named numbers with their intervals; `in_sample` is of the final members on the clips they were chosen
        by."""
        result = self.built.result
        intervals = {
            "score_nested": result.nested["score"],
            "acc_presence_nested": result.nested["acc_presence"],
            "acc_salience_nested": result.nested["acc_salience"],
            "score_single_nested": result.single,
            "difference_nested": result.difference,
        }
        rows = {name: (one.estimate, *one.bounds()) for name, one in intervals.items()}
        columns = ["estimate", "lower_95", "upper_95"]
        table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        table.loc["score_in_sample"] = [result.in_sample, float("nan"), float("nan")]
        return table

    @property
    def trajectory(self) -> pd.Series:
        """Mean negative log-likelihood by number of models while members were chosen; empty for other methods."""
        result = self.built.result
        index = pd.RangeIndex(result.how.start, result.how.start + len(result.trajectory), name="models")
        return pd.Series(result.trajectory, index=index, name="mean_negative_log_likelihood", dtype="float64")

    def export(
        self,
        output: Path | str | None = None,
        *,
        models: "ModelKind" = DEFAULT_MODELS,
        seeds: int | None = None,
        data: DataLike | None = None,
        progress: Progress | bool = True,
    ) -> Path:
        """Write its bundle; a folder, or an archive `NAME.zip`. See `rfe.api.export`."""
        with shown_progress(progress) as shown:
            return api.export(
                self.name,
                find_data_folder(data),
                models=models,
                seeds=seeds,
                output=None if output is None else Path(output),
                workspace=self.workspace,
                progress=shown,
            )

    def predict(self, data: DataLike | None = None) -> pd.DataFrame:
        """Its answers to a data folder's test clips; None: the data it was chosen on. As `rfe.predict`."""
        from rfe.ensemble.stored import read_ensemble

        place = data if data is not None else read_ensemble(self.workspace, self.name).data
        return predict_exported(lambda path: self.export(path, progress=False), place)

    def _heading(self) -> str:
        result = self.built.result
        return f"ensemble {self.name}: {len(result.ensemble.members)} members of {result.n_candidates} candidates"

    def _tables(self) -> Mapping[str, pd.DataFrame]:
        return {"members": self.members, "scores": self.scores}

    def _notes(self) -> Sequence[str]:
        result, built = self.built.result, self.built
        said = [*result.nested["score"].notes, result.one_member, built.note]
        return [NESTED, *built.caveats, *(note for note in said if note)]


def ensemble(
    *studies: Study | str,
    data: DataLike | None = None,
    name: str | None = None,
    method: "Method" = "greedy",
    members: int = 20,
    candidates: int = 60,
    bags: int = 20,
    separate_heads: bool = False,
    decode: "Decoding" = "states",
    seed: int = 0,
    workspace: WorkspaceLike = None,
    progress: Progress | bool = True,
) -> Ensemble:
    """Choose an ensemble among the trials of studies on the same data, and estimate its score by nested evaluation.

    Args:
        studies: studies or their names.
        data: the data folder; None: where it was when the first was searched.
        name: of the ensemble; None: `STUDY-ensemble`.
        method, members, candidates, bags, separate_heads, decode, seed: see `rfe.ensemble.selection.Selection`.
        workspace: None: that of the studies given.
        progress: as `search`.

    Raises:
        ConfigError: no study is named, or an unknown method or decoding.
        StudyError: no such study, other data, or nothing to choose from.

    Examples:
        >>> final = rfe.ensemble(study, method="nnls")  # doctest: +SKIP
        >>> final.members  # doctest: +SKIP
    """
    from rfe.ensemble.selection import Selection, find_decoding, find_method

    how = Selection(
        find_method(method),
        members,
        candidates,
        bags,
        separate_heads=separate_heads,
        seed=seed,
        decoding=find_decoding(decode),
    )
    given = [one.workspace for one in studies if isinstance(one, Study)]
    place = given[0] if given and workspace is None else find_workspace(workspace)
    names = [one.name if isinstance(one, Study) else one for one in studies]
    with shown_progress(progress) as shown:
        built = api.ensemble(names, find_data_folder(data), name=name, selection=how, workspace=place, progress=shown)
    return Ensemble(built, place)
