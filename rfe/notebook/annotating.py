"""What a notebook says of a study, also while another process searches it; and the studies that it finds by that."""

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from rfe import api
from rfe.api import AnnotatedStudy
from rfe.notebook.places import WorkspaceLike, find_workspace
from rfe.workspace import Workspace


class Annotated:
    """Methods of a `Study`; each returns its note, tags and archive after the change."""

    name: str
    workspace: Workspace

    def note(self, text: str) -> AnnotatedStudy:
        """Replace the study's note; "" removes it. See `rfe.api.note_study`.

        Examples:
            >>> rfe.open_study("first").note("baseline of the paper, table 2").note
            'baseline of the paper, table 2'
        """
        return api.note_study(self.name, text, self.workspace)

    def tag(self, *tags: str, remove: bool = False) -> AnnotatedStudy:
        """Add tags to the study, or remove them; see `rfe.api.tag_study`.

        Examples:
            >>> rfe.open_study("first").tag("paper", "gpu").tags
            ('paper', 'gpu')
        """
        return api.tag_study(self.name, tags, self.workspace, remove=remove)

    def archive(self, *, undo: bool = False) -> AnnotatedStudy:
        """Hide the study from lists, or show it again; see `rfe.api.archive_study`.

        Examples:
            >>> rfe.open_study("first").archive().archived
            True
        """
        return api.archive_study(self.name, self.workspace, undo=undo)


def list_studies(
    *,
    tags: str | Sequence[str] = (),
    state: str | None = None,
    archived: bool = False,
    tracking_uri: str | None = None,
    workspace: WorkspaceLike = None,
) -> pd.DataFrame:
    """List the studies of the workspace as a table, most recently changed first.

    Args:
        tags: only studies that have all of these.
        state: only studies at this state: `running`, `interrupted`, `finished`, `stopped`, `failed` or `damaged`.
        archived: the archived studies, which are left out otherwise.
        tracking_uri: of an MLflow, in the workspace's place.
        workspace: whose studies.

    Returns:
        A row for each study by name: `state`, `data`, `simulated`, the trials' counts `complete`, `pruned` and
        `failed`, `score_selected`, `score_confirmed`, `score_best` (optimistic), `tags`, `note`, `archived`, `changed`.

    Raises:
        ConfigError: there is no such state.
        StudyError: MLflow does not answer.

    Examples:
        >>> rfe.list_studies(state="stopped").index.tolist()
        ['first']
    """
    wanted = (tags,) if isinstance(tags, str) else tags
    found = api.list_studies(
        find_workspace(workspace), tracking_uri=tracking_uri, tags=wanted, state=state, archived=archived
    )
    first, counts = ("state", "data", "simulated"), ("complete", "pruned", "failed")
    scores, last = ("score_selected", "score_confirmed", "score_best"), ("tags", "note", "archived")
    rows = [
        {
            **{name: getattr(one, name) for name in (*first, *scores, *last)},
            **{name: one.trials[name] for name in counts},
            "changed": datetime.fromtimestamp(one.changed),
        }
        for one in found
    ]
    index = pd.Index([one.name for one in found], name="study", dtype="object")
    table = pd.DataFrame(rows, index=index, columns=[*first, *counts, *scores, *last, "changed"])
    return table.astype(dict.fromkeys(scores, "float64"))
