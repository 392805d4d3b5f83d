"""MLflow's page as `rfe ui` opens it: the trials are found, sorted, opened and compared there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from rfe.data.dataset import load_dataset
from rfe.study import read_study
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.tracking.ui import open_ui, study_pages
from rfe.workspace import open_workspace
from tests.integration import fakes
from tests.unit.search.tiny_study import run_study

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
PATIENCE_S = 300
SHOWN = ["score", "score_se", "acc_presence", "acc_salience"]


@dataclass(frozen=True)
class TrialTable:
    address: str
    best_first: tuple[str, ...]
    """The trials that ended, by their Scores."""
    failed: str
    """The one without a Score, last whichever way the others are sorted."""


@pytest.fixture(scope="module")
def trial_table(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch_module: pytest.MonkeyPatch
) -> Iterator[TrialTable]:
    """A study's trials, at the address that `rfe ui` gives."""
    monkeypatch_module.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path_factory.mktemp("page")
    workspace = open_workspace(folder / "workspace")
    tracker = MlflowTracker(workspace, workspace.study("tiny"))
    study = run_study(workspace, load_dataset(fakes.write_data(folder / "tiny")), tracker)
    assert tracker.close(PATIENCE_S) == ""
    rows = read_study(study.path).trials
    scores = {f"trial {row.number:04d}": row.values[0] for row in rows if row.values}
    assert len(set(scores.values())) == len(scores) == 4
    (failed,) = (f"trial {row.number:04d}" for row in rows if row.state == "failed")
    with open_ui(workspace) as address:
        ((name, page),) = study_pages(workspace, address)
        assert name == "tiny"
        yield TrialTable(page, tuple(sorted(scores, key=scores.__getitem__, reverse=True)), failed)


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture
def page(browser: Any, trial_table: TrialTable) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1800, "height": 900})
    page.set_default_timeout(1000 * PATIENCE_S)
    page.goto(trial_table.address)
    page.get_by_role("link", name="trial 0000").wait_for()
    yield page
    page.close()


def trials(page: Any) -> list[str]:
    """Names from top to bottom; the table keeps its rows in another order than it shows them in."""
    links = page.get_by_role("link", name="trial 000").all()
    return [one.inner_text() for one in sorted(links, key=lambda one: float(one.bounding_box()["y"]))]


def test_trials_are_sorted_by_score(page: Any, trial_table: TrialTable) -> None:
    columns = [one.inner_text().strip() for one in page.get_by_role("columnheader").all()]
    assert [name for name in SHOWN if name in columns] == SHOWN
    assert trials(page) == [*trial_table.best_first, trial_table.failed]
    page.get_by_role("columnheader", name="score", exact=True).first.click()
    page.wait_for_function(
        "first => [...document.querySelectorAll('a')].filter(a => a.innerText.startsWith('trial 000'))"
        ".sort((a, b) => a.getBoundingClientRect().y - b.getBoundingClientRect().y)[0].innerText !== first",
        arg=trial_table.best_first[0],
    )
    assert trials(page) == [*reversed(trial_table.best_first), trial_table.failed]


def test_the_best_trial_explains_itself_and_shows_its_figures(page: Any, trial_table: TrialTable) -> None:
    page.get_by_role("link", name=trial_table.best_first[0]).click()
    page.get_by_text("presence accuracy").first.wait_for()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("figures", exact=True).click()
    page.get_by_text("confusion.png").click()
    picture = page.locator("img[src^='blob:'], img[src*='confusion.png'], .image-outer-container img").first
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300


def test_two_trials_are_compared(page: Any) -> None:
    for box in page.get_by_role("checkbox").all()[1:3]:
        box.check(force=True)
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 2 Runs from 1 Experiment").wait_for()
    page.get_by_text("Parallel Coordinates Plot").wait_for()
    page.locator(".js-plotly-plot").first.wait_for()
    assert page.get_by_text("train.lr").first.is_visible()
