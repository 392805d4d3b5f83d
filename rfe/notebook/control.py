"""What a notebook can change of a study, also while another process searches it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfe import api
from rfe.workspace import Workspace

if TYPE_CHECKING:
    from rfe.search.control import RequestAnswer


class Controlled:
    """Methods of a `Study`; each returns what becomes of it, with a sentence in `said`."""

    name: str
    workspace: Workspace

    def add(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        config: Path | str | Mapping[str, Any] | None = None,
        first: bool = False,
    ) -> "RequestAnswer":
        """Queue a configuration, which is tried next; see `rfe.api.add_trial`.

        Args:
            values: of searched fields by dotted name; what is not named is sampled.
            config: a whole configuration, as a file or a mapping.
            first: before what else is queued.

        Examples:
            >>> rfe.open_study("first").add({"train.lr": 0.001}).said
            'queued as the next trial; the sampler draws model.n_kept, pool'
        """
        return api.add_trial(self.name, values or (), config=config, first=first, workspace=self.workspace)

    def prune(self, *trials: int, where: str | None = None) -> "RequestAnswer":
        """End open trials as pruned, by number or by a condition; see `rfe.api.prune_trials`.

        Examples:
            >>> rfe.open_study("first").prune(7).said
            'trial 7 was pruned'
        """
        return api.prune_trials(self.name, trials, where=where, workspace=self.workspace)

    def change(
        self, *, trials: int | None = None, hours: float | None = None, workers: int | None = None
    ) -> "RequestAnswer":
        """Change the budget or the number of workers; see `rfe.api.change_study`.

        Examples:
            >>> rfe.open_study("first").change(trials=40).said
            'the study now has 40 trials in all'
        """
        return api.change_study(self.name, trials=trials, hours=hours, workers=workers, workspace=self.workspace)

    def narrow(
        self, space: Path | str | Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
    ) -> "RequestAnswer":
        """Search a smaller space from now on; see `rfe.api.narrow_study`.

        Examples:
            >>> rfe.open_study("first").narrow(overrides=["space.model.n_kept={int: [1, 2]}"]).said
            'narrowed: 5 trials inside the new ranges still inform the sampler, 3 outside are kept but no longer used'
        """
        return api.narrow_study(self.name, space, overrides, workspace=self.workspace)

    def retry(self, *trials: int, failed: bool = False) -> "RequestAnswer":
        """Try failed trials again; see `rfe.api.retry_trials`.

        Examples:
            >>> rfe.open_study("first").retry(failed=True).said
            'trials 5, 6 are queued to be tried again, under new numbers'
        """
        return api.retry_trials(self.name, trials, failed=failed, workspace=self.workspace)
