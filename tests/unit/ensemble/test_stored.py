"""Names of results that are not there."""

from pathlib import Path

import pytest

from rfe import api
from rfe.ensemble.stored import ENSEMBLE_FILE, unknown_result
from rfe.errors import StudyError
from rfe.journal.events import StudyLog
from rfe.journal.journal import Journal
from rfe.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = open_workspace(tmp_path)
    with Journal(workspace.study("demo")) as journal:
        journal.record_study(StudyLog("demo"))
    return workspace


def test_a_name_that_nothing_has_is_answered_with_both_kinds(workspace: Workspace) -> None:
    assert unknown_result(workspace, "dmo").endswith("; did you mean demo?")
    assert unknown_result(workspace, "demo-ensemble").endswith("; `rfe ensemble demo` makes that one")
    assert unknown_result(workspace, "xyz").endswith("; there are demo")
    ensemble = workspace.ensembles / "best-five"
    ensemble.mkdir(parents=True)
    (ensemble / ENSEMBLE_FILE).write_text("{}")
    assert unknown_result(workspace, "best-fiv").endswith("; did you mean best-five?")
    assert "holds no studies" in unknown_result(open_workspace(workspace.root / "empty"), "demo")


def test_an_ensemble_that_was_not_made_is_not_called_an_unknown_study(workspace: Workspace) -> None:
    """It said: unknown study 'demo-ensemble'."""
    named = r"no study and no ensemble is called 'demo-ensemble' in .*`rfe ensemble demo`"
    for command in (api.export, lambda name, workspace: api.report([name], workspace=workspace)):
        with pytest.raises(StudyError, match=named):
            command("demo-ensemble", workspace=workspace)
