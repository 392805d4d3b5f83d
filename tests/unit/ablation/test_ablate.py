"""`rfe.api.ablate` from plan to table, with studies that run in this process."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rfe import api
from rfe.ablation.result import AblationResult, read_ablation
from rfe.ablation.study import read_arms
from rfe.data.dataset import load_dataset
from rfe.errors import ConfigError, StudyError, TrialError
from rfe.journal.events import StudyLog
from rfe.journal.journal import Journal
from rfe.search_space import SearchSpace
from rfe.search_space.ready_made import ready_made
from rfe.workspace import Workspace
from tests.integration.fakes import write_data
from tests.unit.ablation.studies import pretend, run_here, train_truly, use
from tests.unit.reporting.journals import make_trial

PLANS = sorted(name for name in ready_made() if name.startswith("ablations/"))
FAST = {"train.epochs": 20, "train.batch_size": 32, "model.latent_dim": 8, "train.lr": 0.01}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("ablate") / "tiny")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[SearchSpace]:
    """The studies that were run, by the quick stand-in unless `use` says otherwise."""
    spaces: list[SearchSpace] = []
    use(monkeypatch, pretend, spaces)
    return spaces


def write_plan(folder: Path, **fields: Any) -> Path:
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({"name": "ours", "seeds": 3, **fields}))
    return path


def run_plan(folder: Path, data: Path, workspace: Workspace, **fields: Any) -> AblationResult:
    result = api.ablate(write_plan(folder, **fields), data, workspace=workspace)
    assert result is not None
    return result


def test_a_plan_becomes_a_table(ran: list[SearchSpace], data: Path, workspace: Workspace, tmp_path: Path) -> None:
    lr = {"far off": {"train.lr": 1.0e-5}, "nearer": {"train.lr": 0.003}, "fails": {"train.lr": 1.0}}
    result = run_plan(tmp_path, data, workspace, base={"train.lr": 0.001}, components=["no dropout"], custom=lr)
    rows = {row.arm.name: row for row in result.rows}
    assert list(rows) == ["base", "no dropout", "far off", "nearer"]
    assert rows["far off"].verdict == "loss"
    assert rows["nearer"].difference is not None
    assert rows["nearer"].difference.estimate > 0
    assert result.failed == {"fails": "the loss is no longer finite at epoch 1"}
    assert (result.n_seeds, result.n_clips, result.n_actors) == (3, 216, 6)
    assert [space.study for space in ran] == ["ours"]
    folder = workspace.study("ours")
    lines = list(csv.DictReader(io.StringIO((folder.path / "ablation.csv").read_text())))
    assert [line["arm"] for line in lines] == list(rows)
    assert float(lines[2]["difference"]) == pytest.approx(rows["far off"].difference.estimate, abs=1e-5)  # type: ignore[union-attr]
    written = json.loads((folder.path / "ablation_result.json").read_text())
    assert written["arms"][2]["difference"]["probability_better"] < 0.05
    again = read_ablation(folder, load_dataset(data))
    assert again.to_dict() == result.to_dict()


def test_the_longest_arms_are_trained_first_and_those_trained_alike_together(
    ran: list[SearchSpace], data: Path, workspace: Workspace, tmp_path: Path
) -> None:
    run_plan(
        tmp_path,
        data,
        workspace,
        components=["decoder official", "gate uniform", "adaptation coral", "decoder valid_states", "adaptation dann"],
        each_encoder_alone=True,
    )
    order = list(ran[0].arms)
    assert order[:2] == ["adaptation coral", "adaptation dann"]
    base = order.index("base")
    decoders = [name for name in order if name.startswith("decoder")]
    assert len(decoders) == 1  # the base has the other one
    assert order[base + 1] == decoders[0]
    assert all(name.endswith(" alone") for name in order[-3:])


def test_base_and_arms_share_seeds_that_nothing_was_chosen_by(
    ran: list[SearchSpace], data: Path, workspace: Workspace, tmp_path: Path
) -> None:
    run_plan(tmp_path, data, workspace, components=["no dropout"])
    assert (ran[0].base["train.seed"], ran[0].base["train.data_seed"], ran[0].base["train.seeds"]) == (10000, 10000, 3)
    late = {"train.seed": 20000, "train.seeds": 4}
    run_plan(tmp_path, data, workspace, name="late", base=late, components=["no dropout"])
    assert ran[1].base["train.seed"] == 20004
    with Journal(workspace.study("first")) as journal:
        journal.record_study(StudyLog("first", settings={"data.path": str(data)}))
        for number, seed in enumerate((0, 30000)):
            journal.record_trial(make_trial(number, 0.5 - 0.1 * number, config={"train.seed": seed, "train.lr": 0.004}))
    api.ablate(write_plan(tmp_path, name="after", components=["no dropout"]), from_study="first", workspace=workspace)
    assert (ran[2].base["train.lr"], ran[2].base["train.seed"]) == (0.004, 30001)


def test_encoders_are_added_in_the_order_of_their_value(
    monkeypatch: pytest.MonkeyPatch, ran: list[SearchSpace], data: Path, workspace: Workspace, tmp_path: Path
) -> None:
    use(monkeypatch, train_truly, ran)
    result = run_plan(tmp_path, data, workspace, base=FAST, encoders_in_order="value", encoder_value=True)
    assert [space.study for space in ran] == ["ours-order", "ours"]
    assert ran[0].base["train.seed"] == 10003
    assert ran[0].base["train.seeds"] == 1
    assert [row.arm.name for row in result.rows] == ["base", "first 1: good", "first 2: + weak", "first 3: + noise"]
    assert all(row.p_holm is None for row in result.rows)
    assert result.rows[3].difference is not None
    assert result.rows[3].difference.estimate == 0.0  # all encoders: the base itself
    assert any("order of their own Score" in note for note in result.notes)

    # what is planted: the good encoder carries the labels, the weak one less, the noise nothing
    values = {one.encoder: one for one in result.encoders}
    assert result.encoders[0].encoder == "good"  # the largest loss first
    for kind in ("lost_masked", "lost_permuted"):
        assert abs(getattr(values["noise"], kind).estimate) < 0.05 < getattr(values["good"], kind).estimate
    assert all(one.kept_frequency == 1.0 for one in result.encoders)
    assert sum(one.mean_weight or 0.0 for one in result.encoders) == pytest.approx(1.0, abs=1e-3)
    folder = workspace.study("ours")
    with np.load(folder.path / "encoders.npz") as arrays, np.load(folder.trial(0) / "outputs.npz") as outputs:
        np.testing.assert_array_equal(arrays["own"], outputs["predicted_state"])  # the weights are the trial's own
        assert (arrays["masked/good"] != arrays["own"]).any()
    weights = [log.weights for log in read_trials(workspace, "ours")]
    assert [one is not None for one in weights] == [True, False, False]


def read_trials(workspace: Workspace, study: str) -> list[Any]:
    from rfe.journal.events import TrialLog
    from rfe.journal.records import read_events

    return [event for event in read_events(workspace.study(study)) if isinstance(event, TrialLog)]


def test_tuning_chooses_each_folds_configuration_by_the_other_folds(
    ran: list[SearchSpace], data: Path, workspace: Workspace, tmp_path: Path
) -> None:
    space = {"train.lr": {"float": [1.0e-4, 1.0e-2], "log": True}}
    result = run_plan(
        tmp_path,
        data,
        workspace,
        base={"train.lr": 0.003},
        retune=6,
        retune_space=space,
        components=["no dropout", "gate uniform"],
        custom={"own rate": {"train.lr": 1.0e-4}},
    )
    tuning, last = ran[:-1], ran[-1]
    assert [one.study for one in tuning] == [
        "ours-tune-00-base", "ours-tune-01-no-dropout", "ours-tune-02-gate-uniform"
    ]  # fmt: skip
    assert {one.budget.trials for one in tuning} == {6}  # equal budgets; an arm that sets the rate itself is not tuned
    assert all(one.first_trials == [{"train.lr": 0.003}] for one in tuning)
    assert all((one.base["train.seeds"], one.base["train.seed"]) == (1, 0) for one in tuning)
    assert last.base["train.seed"] == 10000
    stored = read_arms(workspace.study("ours"))
    logs = {log.number: log for log in read_trials(workspace, "ours-tune-00-base")}
    answered = []
    for part in stored.parts["base"]:
        folds = part.choice.folds or (0, 1, 2)
        answered += folds
        for fold in folds:
            others = [f for f in (0, 1, 2) if f != fold]
            best = max(logs, key=lambda n: (np.mean([_pooled(logs[n], f) for f in others]), -n))
            assert part.choice.trial == best
        assert part.choice.values == {"train.lr": logs[part.choice.trial].config["train.lr"]}
    assert sorted(answered) == [0, 1, 2]
    assert result.tuned is not None
    assert result.tuned["own rate"] == ({"folds": [], "trial": None, "values": {}},)
    assert {row.arm.name: row.verdict for row in result.rows}["own rate"] == "loss"
    assert any("equal budgets" in note for note in result.notes)


def _pooled(log: Any, fold: int) -> float:
    return float(log.per_fold["score"][fold])  # folds are of one size here


def test_each_fold_is_answered_by_its_own_configuration(
    ran: list[SearchSpace], data: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rfe.ablation.study import Choice

    split = (Choice((0, 2), 4, {"train.lr": 0.002}), Choice((1,), 7, {"train.lr": 0.004}))
    monkeypatch.setattr("rfe.ablation.running.choose_by_other_folds", lambda *given: split)
    result = run_plan(tmp_path, data, workspace, retune=2, components=["no dropout"], encoder_value=False)
    dataset = load_dataset(data)
    outputs = {log.tags["arm"]: log.artifacts["outputs.npz"] for log in read_trials(workspace, "ours")}
    assert {"base (folds 0, 2)", "base (fold 1)"} < set(outputs)
    truth, fold = dataset.clips.state[:216], dataset.clips.fold[:216]
    hits = []
    for name, mine in (("base (folds 0, 2)", fold != 1), ("base (fold 1)", fold == 1)):
        with np.load(outputs[name]) as arrays:
            hits.append((arrays["predicted_state"] == truth)[:, mine])
    blend = result.rows[0].acc_salience.estimate
    right = sum(one[:, truth[mine] >= 6].sum() for one, mine in zip(hits, (fold != 1, fold == 1), strict=True))
    assert blend == pytest.approx(right / (3 * (truth >= 6).sum()))


def test_an_arm_that_cannot_be_tuned_is_left_out(
    ran: list[SearchSpace], data: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_here(pretend, ran)

    def run(space: SearchSpace, *given: Any, **options: Any) -> Any:
        if "no-dropout" in space.study:
            raise TrialError("no trial finished")
        return whole(space, *given, **options)

    monkeypatch.setattr("rfe.search.running.run_study", run)
    fleet = type("Fleet", (), {"ended": False})()
    monkeypatch.setattr("rfe.search.running.StudySeries._start_workers", lambda self: setattr(self, "fleet", fleet))
    result = run_plan(tmp_path, data, workspace, retune=2, components=["no dropout", "gate uniform"])
    assert [row.arm.name for row in result.rows] == ["base", "gate uniform"]
    assert result.failed == {"no dropout": "tuning failed: no trial finished"}


def test_a_study_that_is_no_ablation_keeps_its_name(
    ran: list[SearchSpace], data: Path, workspace: Workspace, tmp_path: Path
) -> None:
    folder = workspace.study("ours")
    folder.path.mkdir(parents=True)
    folder.definition.write_text("{}")
    with pytest.raises(StudyError, match="--name ours: is a study of another kind"):
        run_plan(tmp_path, data, workspace, components=["no dropout"])
    assert not ran
    with pytest.raises(StudyError, match="is no ablation"):
        read_ablation(folder, load_dataset(data))


def test_other_data_is_refused(ran: list[SearchSpace], data: Path, workspace: Workspace, tmp_path: Path) -> None:
    run_plan(tmp_path, data, workspace, components=["no dropout"])
    other = load_dataset(write_data(tmp_path / "other", seed=1))
    with pytest.raises(StudyError, match="was run on other data"):
        read_ablation(workspace.study("ours"), other)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base": "x.yaml", "from_study": "s"}, "an ablation has one base"),
        ({"seeds": 2}, "seeds: 2 is not allowed"),
        (
            {"overrides": ["base.protocol=official", "base.decode.kind=official", "encoder_value=true"]},
            "encoder_value needs",
        ),
    ],
)
def test_wrong_options(options: dict[str, Any], said: str, data: Path, workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        api.ablate(write_plan(tmp_path, components=["no dropout"]), data, workspace=workspace, **options)
    assert not workspace.studies.exists()


def test_a_plan_needs_data(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name the data folder with --data"):
        api.ablate(write_plan(tmp_path, components=["no dropout"]), workspace=workspace)


@pytest.mark.parametrize("plan", PLANS)
def test_each_ready_plan_runs_on_a_tiny_data_set(
    plan: str, ran: list[SearchSpace], data: Path, workspace: Workspace
) -> None:
    overrides = ["seeds=3", "base.train.lr=0.002"]
    planned = api.plan_ablation(plan, data, overrides=overrides, workspace=workspace)
    assert planned.plan.name == plan.split("/")[1].replace("_", "-")
    # values of encoders are measured by real models; here the stand-in has none to mask
    result = api.ablate(plan, data, overrides=[*overrides, "encoder_value=false"], workspace=workspace)
    assert result is not None
    assert len(result.rows) >= 2
    assert not result.failed
    if planned.plan.components != "all" and planned.plan.controls != "all":
        assert set((result.left_out or {}).values()) <= {"is the base"}
    assert (len(result.interactions) == 3) == bool(planned.plan.factorial)
