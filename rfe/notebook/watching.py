"""A study's table of all trials and its live page, in a notebook; both also while another process searches it."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from rfe import api
from rfe.workspace import Workspace

if TYPE_CHECKING:
    from rfe.reporting.trial_table import Parameters


class Watched:
    """Methods of a `Study`."""

    name: str
    workspace: Workspace

    def table(self, output: Path | str | None = None, *, parameters: "Parameters" = "searched") -> pd.DataFrame:
        """All trials that have ended, with scores of each fold, seconds, memory and worker; see `rfe.api.study_table`.

        Args:
            output: a file to write the table to as well, `.csv` or `.parquet`; one that is there is replaced.
            parameters: `searched`, or `all` fields of the configurations.

        Examples:
            >>> table = rfe.open_study("first").table("trials.csv")
            >>> len(table), "score" in table
            (6, True)
        """
        if output is not None:
            api.write_study_table(self.name, Path(output), self.workspace, parameters=parameters)
        return api.study_table(self.name, self.workspace, parameters=parameters)

    def page(self, output: Path | str | None = None) -> Path:
        """Write the live page as it is now to one self-contained file; `rfe watch` serves one that refreshes itself.

        Args:
            output: the file; None: `NAME.html` in the current folder.

        Returns:
            The file, to be shown with `IPython.display.IFrame` or opened in a browser.

        Examples:
            >>> rfe.open_study("first").page("first.html").name
            'first.html'
        """
        path = Path(f"{self.name}.html" if output is None else output)
        return api.write_page(self.name, path, self.workspace)
