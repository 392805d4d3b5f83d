"""Studies, ensembles and ablations as tables, of studies on disk: nothing is searched here."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import rfe
import rfe.notebook
from rfe import api
from rfe.api.ablation_question import Asked
from rfe.data.dataset import Dataset
from rfe.errors import ConfigError, DataError, StudyError
from rfe.journal.events import StudyLog
from rfe.journal.journal import Journal
from rfe.search.options import RunArguments
from rfe.search_space import SearchSpace
from rfe.workspace import Workspace, open_workspace
from tests.unit.ablation.studies import pretend, use
from tests.unit.data.folders import make_folder, make_rows
from tests.unit.reporting.journals import make_trial
from tests.unit.reporting.report.studies import empty_study, make_workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Dataset]:
    return make_workspace(tmp_path_factory.mktemp("notebook"), n_trials=12)


def test_trials_are_a_table(made: tuple[Workspace, Dataset]) -> None:
    study = rfe.open_study("first", workspace=made[0].root)
    detail = api.show_study("first", made[0], sort="number")
    assert study.trials.index.tolist() == list(range(12))
    assert study.trials["score"].tolist() == [line.score for line in detail.trials]
    assert study.trials["train.lr"].dtype == np.float64
    assert set(study.trials["pool"]) <= {("face",), ("voice",), ("face", "voice")}
    assert study.trials["confirmed"].dropna().index.tolist() == [0]
    assert study.best == 0  # the confirmed one
    assert study.best_config["pool"] == list(study.trials.loc[0, "pool"])
    assert "decode.kind" not in study.best_config  # its default
    scores = study.scores
    assert scores.index.tolist() == ["selected", "best", "confirmed"]
    assert scores.loc["best", "score"] == study.trials["score"].max()
    assert scores.loc["best", "trial"] == study.trials["score"].idxmax()
    assert scores.loc["confirmed", "score"] == pytest.approx(0.41)


def test_a_study_shows_itself(made: tuple[Workspace, Dataset]) -> None:
    study = rfe.open_study("first", workspace=made[0])
    text, html = repr(study), study._repr_html_()
    for part in ("study first: finished, 12 complete", "selected", "train.lr", "2 more rows", "saliences are guessed."):
        assert part in text
        assert part in html
    assert html.count("<table") == 2
    assert "reason" not in html  # says nothing here
    assert len(study.front) == 0


def test_a_pareto_front_is_some_of_the_trials(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    with Journal(workspace.study("two")) as journal:
        journal.record_study(StudyLog("two", settings={"objective": ["acc_presence", "acc_salience"]}))
        for number, (presence, salience) in enumerate([(0.3, 0.1), (0.2, 0.2), (0.1, 0.1)]):
            scores = {"score": (presence + salience) / 2, "acc_presence": presence, "acc_salience": salience}
            journal.record_trial(make_trial(number, 0.0, study="two", scores=scores))
    front = rfe.open_study("two", workspace=workspace).front
    assert front.index.tolist() == [0, 1]
    assert front["acc_salience"].tolist() == [0.1, 0.2]


def test_a_notebook_shows_the_sentence_of_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        rfe.load_data(tmp_path / "none")
    shown = raised.value._render_traceback_()  # IPython asks for it
    assert shown == [f"DataError: {raised.value}"]
    assert "is not a folder" in shown[0]


def test_a_study_without_a_finished_trial(made: tuple[Workspace, Dataset], tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    empty_study(workspace)
    study = rfe.open_study("begun", workspace=workspace)
    assert len(study.trials) == 0
    assert "no trial yet" in repr(study)
    with pytest.raises(StudyError, match="no finished trial"):
        _ = study.best
    with pytest.raises(StudyError, match="did you mean begun"):
        rfe.open_study("begin", workspace=workspace)


def test_an_ensemble_is_tables(made: tuple[Workspace, Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfe.api.ensembles._log", lambda *given: (None, "not shown in MLflow: asleep"))
    study = rfe.open_study("first", workspace=made[0])
    final = rfe.ensemble(study, name="final", method="top_k", members=3, progress=False)
    assert final.members["weight"].tolist() == pytest.approx([1 / 3] * 3)
    assert final.members.index.names == ["study", "trial"]
    result = final.built.result
    assert final.scores["estimate"].to_dict() == pytest.approx(result.scores())
    nested = final.scores.loc["score_nested"]
    assert nested["lower_95"] < nested["estimate"] < nested["upper_95"]
    assert len(final.trajectory) == 0
    for part in ("3 members of 12 candidates", "each fold is answered by", "MLflow: asleep"):
        assert part in final._repr_html_()
    with pytest.raises(ConfigError, match="did you mean greedy"):
        rfe.ensemble(study, method="gready", progress=False)  # type: ignore[arg-type]


ABLATION = {
    "name": "parts",
    "base": {"train.lr": 0.01, "train.epochs": 1},
    "seeds": 3,
    "custom": {"lower": {"train.lr": 0.003}, "broken": {"train.lr": 1.0}},
}


def test_an_ablation_is_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, pretend)
    data = rfe.load_data(make_folder(tmp_path / "data", make_rows(n_actors=9, clips_per_actor=12)))
    found = rfe.ablate(ABLATION, data, workspace=tmp_path / "workspace", progress=False)
    rows = {row.arm.name: row for row in found.result.rows}
    assert found.arms.index.tolist()[0] == "base"
    assert set(found.arms.index) == set(rows) == {"base", "lower"}
    difference = rows["lower"].difference
    assert difference is not None
    assert found.arms.loc["lower", "difference"] == difference.estimate
    assert found.arms.loc["lower", ["lower_95", "upper_95"]].tolist() == list(difference.bounds())
    assert np.isnan(found.arms.loc["base", "difference"])
    assert list(found.failed) == ["broken"]
    assert len(found.interactions) == len(found.encoders) == 0
    assert "no result: broken" in repr(found)
    assert found._repr_html_().count("<table") == 1
    monkeypatch.setattr(api, "ablate", lambda *_, **options: None)
    with pytest.raises(KeyboardInterrupt, match="goes on"):
        rfe.ablate(ABLATION, data, workspace=tmp_path / "workspace", progress=False)


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> list[SearchSpace]:
    """The spaces that would have been searched."""
    given: list[SearchSpace] = []

    def run(space: SearchSpace, *_: Any, **options: Any) -> Any:
        given.append(space)
        return type("Outcome", (), {"study": space.study})

    monkeypatch.setattr("rfe.api.searching.run_study", run)
    return given


def test_spaces_and_configurations_are_mappings_too(tmp_path: Path, spaces: list[SearchSpace]) -> None:
    folder = make_folder(tmp_path / "data")
    some = rfe.load_data(folder, encoders=["voice"])
    space = {"study": "mine", "space": {"train.lr": {"float": [1e-4, 1e-2], "log": True}}}
    given = [
        rfe.search(space, folder, workspace=tmp_path, progress=False),
        rfe.search(space, some, study="other", overrides=["train.epochs=3"], workspace=tmp_path, progress=False),
        rfe.fit({"train.epochs": 2}, rfe.load_data(folder), workspace=tmp_path, progress=False),
        rfe.fit({"train": {"epochs": 2}}, folder, workspace=tmp_path, progress=False),
        rfe.fit({"train.epochs": 3}, folder, workspace=tmp_path, progress=False),
        rfe.fit({}, folder, study="plain", workspace=tmp_path, progress=False),
    ]
    names = [study.name for study in given]
    assert names[:2] == ["mine", "other"]
    assert names[2] == names[3] != names[4]
    assert names[5] == "plain"
    assert [one.data.encoders for one in spaces[:3]] == [None, ["voice"], None]
    assert {one.data.path for one in spaces} == {str(folder)}
    assert spaces[1].base["train.epochs"] == 3


@pytest.mark.parametrize(
    ("shown", "done"),
    [(rfe.notebook.search, api.search), (rfe.notebook.fit, api.train), (rfe.notebook.ablate, api.ablate)],
)
def test_no_option_of_the_api_is_left_out(shown: Any, done: Any) -> None:
    """`from_study` and `trial` are a Study here, or an export of one."""
    asked = {api.ablate: {*Asked.__annotations__}, api.search: {*RunArguments.__annotations__}}.get(done, set())
    missing = ({*inspect.signature(done).parameters} | asked) - {*inspect.signature(shown).parameters}
    assert missing <= {"source", "from_study", "trial", "asked", "options", "arguments"}


def test_a_tables_numbers_are_read_at_a_glance() -> None:
    class One(rfe.notebook.studies.Shown):
        def _heading(self) -> str:
            return "one <b>"

        def _tables(self) -> dict[str, pd.DataFrame]:
            return {"t": pd.DataFrame({"lr": [0.00012345, 0.5], "name": ["<i>", None]})}

    assert "0.000123" in repr(One())
    html = One()._repr_html_()
    assert "one &lt;b&gt;" in html
    assert "&lt;i&gt;" in html
    assert "None" not in html
