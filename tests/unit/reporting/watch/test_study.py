"""What the live page is told: all that the journal has, read once, without the study's lock."""

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from rfe.errors import StudyError
from rfe.journal.records import as_json
from rfe.progress import SearchStatus
from rfe.reporting.running import find_running, see_running
from rfe.reporting.watch.study import WatchedStudy
from rfe.tracking.following import JournalFollower
from rfe.tracking.live import LiveStatus
from rfe.writing import write_json
from tests.unit.reporting.watch.journals import REASON, append, line, trial_line, write_study

CONFIG: dict[str, Any] = {"train.lr": 1e-3, "model.dropout": 0.1, "pool": ["clip"]}


def test_the_first_look_has_everything(tmp_path: Path) -> None:
    folder = write_study(tmp_path, 50)
    append(folder, [line(folder, "confirmation", 5, scores=[0.3, 0.32, 0.34], seeds=[1, 2, 3])])
    data = WatchedStudy(folder).payload()
    assert (data["name"], data["state"], data["start"], len(data["rows"])) == ("big", "interrupted", 0, 50)
    assert data["counts"] == {"complete": 45, "pruned": 3, "failed": 2}
    assert data["budget"] == 60
    assert data["metrics"] == ["score", "acc_presence"]
    names = [one["name"] for one in data["parameters"]]
    assert names[0] == "pool"
    assert {*names} == {"pool", "model.n_kept", "adaptation.kind", "adaptation.strength", "train.lr", "model.dropout"}
    lr = next(one for one in data["parameters"] if one["name"] == "train.lr")
    assert lr == {"name": "train.lr", "log": True, "low": 1e-4, "high": 1e-2}
    number, state, copy, ended, seconds, wait, memory, gpu, scores, values = data["rows"][7]
    assert (number, state, copy, seconds, wait, memory, gpu) == (7, 0, 0, 3.0, 0.5, 100.0, None)
    assert len(scores) == 2
    assert len(values) == len(names)
    assert ended == 1.79e9 + 28
    assert data["failures"] == [{"reason": REASON, "count": 2, "trials": [3, 28]}]
    assert next((one["name"], one["trials"]) for one in data["workers"]) == ("workers0-0-abcdef00@host", 17)
    assert data["confirmed"] == {"5": {"mean": 0.32, "sd": 0.02, "seeds": 3}}
    shares = data["importance"]["shares"]
    assert max(shares, key=shares.get) == "train.lr"
    json.dumps(as_json(data), allow_nan=False)


def test_a_later_look_has_what_is_new_and_reads_only_that(tmp_path: Path) -> None:
    folder = write_study(tmp_path, 20)
    watched = WatchedStudy(folder)
    first = watched.payload()
    append(folder, [trial_line(folder, n, CONFIG, random.Random(n)) for n in (20, 21)])
    second = watched.payload(len(first["rows"]), first["changes"])
    assert (second["start"], [row[0] for row in second["rows"]]) == (20, [20, 21])
    assert sum(second["counts"].values()) == 22
    assert watched.payload(22, second["changes"])["rows"] == []
    assert len(watched.payload()["rows"]) == 22  # another page, which has none
    assert len(watched.payload(500, second["changes"])["rows"]) == 22


def test_a_trial_recorded_again_and_another_journal_have_the_page_begin_again(tmp_path: Path) -> None:
    folder = write_study(tmp_path, 6)
    watched = WatchedStudy(folder)
    first = watched.payload()
    append(folder, [trial_line(folder, 3, CONFIG, random.Random(0)).replace('"failed"', '"pruned"')])
    again = watched.payload(6, first["changes"])
    assert (again["start"], len(again["rows"]), again["counts"]["failed"]) == (0, 6, 0)
    assert again["changes"] != first["changes"]
    other = write_study(tmp_path / "other", 4)
    other.journal.replace(folder.journal)  # as a pull does
    pulled = watched.payload(6, again["changes"])
    assert (pulled["start"], len(pulled["rows"])) == (0, 4)


def test_half_a_line_waits_and_a_damaged_one_is_said(tmp_path: Path) -> None:
    folder = write_study(tmp_path, 3)
    follower = JournalFollower(folder)
    assert len(follower.read()) == 4
    whole = trial_line(folder, 3, CONFIG, random.Random(0))
    with folder.journal.open("a") as file:
        file.write(whole[:40])
    assert follower.read() == []
    with folder.journal.open("a") as file:
        file.write(whole[40:] + "\n")
    assert [record.number for record in follower.read()] == [3]
    append(folder, [trial_line(folder, 4, CONFIG, random.Random(0)), "{"])
    assert [record.number for record in follower.read()] == [4]  # what came before the damage is not lost
    with pytest.raises(StudyError, match="not a journal record"):
        follower.read()


def test_a_running_study_is_seen_without_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_study(tmp_path, 3)
    monkeypatch.setattr("rfe.reporting.running.hold_lock", lambda *_: pytest.fail("the study's lock was taken"))
    (folder.path / "study.lock").touch()
    (folder.path / ".journal.lock").touch()
    assert see_running(folder) is None
    assert WatchedStudy(folder).payload()["state"] == "interrupted"
    live = LiveStatus("s1", "elsewhere", 1, time.time(), "search big", SearchStatus(13, 3, 2, workers=2, epochs=(1, 4)))
    write_json(folder.live, live.to_dict())
    assert see_running(folder) == find_running(folder) == live
    data = WatchedStudy(folder).payload()
    assert data["state"] == "running"
    assert (data["progress"]["total"], data["progress"]["workers"]) == (13, 2)
    assert data["stage"]["epochs"] == [1, 4]


def test_a_study_that_ended_and_one_without_a_definition(tmp_path: Path) -> None:
    folder = write_study(tmp_path, 12)
    folder.definition.unlink()
    append(folder, [line(folder, "outcome", state="finished", summary="", scores={"score_selected": 0.3})])
    data = WatchedStudy(folder).payload()
    assert data["state"] == "finished"
    assert data["outcome"]["scores"] == {"score_selected": 0.3}
    assert data["importance"] is None
    assert all("low" not in one for one in data["parameters"])
