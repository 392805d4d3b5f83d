"""What a user can get wrong, for each command: it is answered with what, where and what to do, and the right code.

Further sentences are tested where they are made: here is that a command passes them on.

2: the user's input, 1: an internal error, 130: interrupted. Nothing half-written stays, and no traceback is shown.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from rfe.data.dataset import load_dataset
from rfe.tracking.base import NullTracker
from rfe.workspace import open_workspace
from tests.integration import fakes
from tests.unit.cli.invoke import invoke
from tests.unit.cli.spoil import (
    Spoil,
    begin,
    clips,
    cut,
    full_disk,
    raises,
    read_only,
    rename_column,
    space,
    take_port,
    write,
)
from tests.unit.search.tiny_study import run_study

DATA = "--data data"
SEARCH, MY = f"search everything {DATA}", f"search my.yaml {DATA}"
SIMULATE = "data simulate -o sim --actors 5 --test-actors 1 --clips-per-actor 2"
TINY = "w/studies/tiny"


@dataclass(frozen=True)
class Case:
    """A command, what is spoilt before it, and what it must answer."""

    line: str
    said: tuple[str, ...]
    spoil: Spoil | None
    code: int


def wrong(line: str, *said: str, spoil: Spoil | None = None, code: int = 2) -> Case:
    return Case(line, said, spoil, code)


CASES = [
    # ---- words, options, types
    wrong("serch everything", "No such command 'serch'", "search"),
    wrong("data chek data", "No such command 'chek'", "check"),
    wrong(f"{SEARCH} --trails 3", "No such option: --trails", "--trials"),
    wrong(f"{SEARCH} --trials many", "'--trials'", "a valid integer"),
    wrong(f"{SEARCH} --trials 0", "'--trials'", "greater than or equal to 1"),
    wrong(f"{SEARCH} --hours nan", "hours (--hours): nan is not a number above 0"),
    wrong(f"{SEARCH} --workers 0", "'--workers'", "greater than or equal to 1"),
    wrong(f"train baselines/concat_mlp {DATA} --set train.epochs=many", "train.epochs: 'many'", "a whole number"),
    wrong("train", "give a configuration file, or --from STUDY and --trial N"),
    wrong("train baselines/concat_mpl", "did you mean baselines/concat_mlp?"),
    wrong("train --from tny --trial 0", "did you mean tiny?"),
    wrong("search everything", "no data", "name the data folder with --data"),
    wrong(f"search everythin {DATA}", "unknown search space or file 'everythin'", "did you mean everything?"),
    wrong(f"{SEARCH} --set pool=[godo]", "godo", "did you mean good?"),
    wrong(f"{SEARCH} --warm-start tny", "unknown study 'tny'", "did you mean tiny?"),
    wrong(f"{SEARCH} --study a/b", "study name 'a/b'", "letters, digits, dots"),
    wrong(f"{SEARCH} --study=", "study name ''", "letters, digits, dots"),
    wrong(f"{SEARCH} --warm-start=", "study name ''", "letters, digits, dots"),
    wrong("schema spac", "unknown kind of file 'spac'", "did you mean space?"),
    # ---- files of settings
    wrong(MY, "budget is given twice, in lines 2 and 4", spoil=space("budget: {trials: 3}")),
    wrong(MY, "line 3", "not with tabs", spoil=write("my.yaml", "study: s\nbudget:\n\ttrials: 2\n")),
    wrong(MY, "my.yaml: 2.9 MiB is too large", spoil=write("my.yaml", b"#" * 3000000)),
    wrong(MY, "study s: budget", "--trials, --hours", spoil=space(budget="{}")),
    wrong(MY, "sampler.kind: 'randm'", "did you mean random?", spoil=space("sampler: {kind: randm}")),
    wrong(f"{MY} --dry-run", "did you mean good?", spoil=space(space="{pool: {subset: [god, weak]}}")),
    wrong(f"ablate my.yaml {DATA}", "no arm differs from the base", spoil=write("my.yaml", "name: n\n")),
    wrong(f"ablate componets {DATA}", "did you mean components?"),
    wrong(f"ablate components {DATA} --from tny", "did you mean tiny?"),
    wrong("submit job.yaml", "job.yaml: command: is missing", spoil=write("job.yaml", "name: x\nworkspace: /w\n")),
    wrong("submit job.yaml", "did you mean command?", spoil=write("job.yaml", "comand: search everything\n")),
    # ---- data
    wrong("data check nowhere", "nowhere is not a folder", "holds metadata.csv and *.npz"),
    wrong(SEARCH, "fold", "at least two", spoil=clips(lambda rows: rows.__delitem__(slice(1, None)))),
    wrong(SEARCH, "fold: 'x' is not a number", "a0_c0", spoil=clips(lambda rows: rows[0].update(fold="x"))),
    wrong(SEARCH, "actor needs video_id", "--set data.standardize=fold", spoil=clips(rename_column)),
    wrong(SEARCH, "good_static", "damaged", "copy or", spoil=cut("data/good_static_features.npz", 900)),
    wrong("data simulate -o sim --actors 2", "actors: 2 cannot fill 5 folds", "use 5 or more"),
    wrong("data simulate -o sim --size huge", "size: 'huge' is unknown", "use demo or full"),
    wrong("data simulate -o sim --actors 1000000000", "actors: 1000000000 makes 54,000,000,594 clips", "is free; use"),
    wrong("data corrupt data -o out --share 3", "share: 3 is not between 0 and 1", "use e.g. 0.3"),
    wrong("data corrupt nowhere -o out", "nowhere is not a folder", "that holds metadata.csv"),
    wrong("data import nowhere -o out", "nowhere is not a folder", "unpacked"),
    wrong("data aggregate w -o out", "no clip has a series", "<filename>.npy"),
    wrong("baselines --data data --encoder godo", "unknown encoder 'godo'", "did you mean good?"),
    wrong("baselines --data data --only logistic_regresion", "did you mean logistic_regression?"),
    # ---- studies, bundles, files of answers
    wrong("studies show tny", "unknown study 'tny'", "did you mean tiny?"),
    wrong("studies show tiny --sort scor", "--sort: unknown order 'scor'", "did you mean score?"),
    wrong("studies diff tiny 0 77", "no finished trial 77", "go from 0 to 4"),
    wrong("studies stop tiny", "'tiny' is not running", "`rfe studies list` shows which are"),
    wrong("studies add tiny --set train.lr=5", "train.lr: 5 is not among what is searched", "choose one that is"),
    wrong("studies prune tiny --where scor<1", "unknown name 'scor'", "did you mean score?"),
    wrong("studies prune tiny --where score<", "is not a condition", "write comparisons"),
    wrong("studies change tiny", "nothing to change", "--trials, --hours or --workers"),
    wrong("studies narrow tiny", "nothing to narrow", "--space FILE"),
    wrong("studies retry tiny 0", "trial 0 is complete", "add its configuration instead"),
    wrong("studies delete tiny", "no terminal to ask at", "--yes"),
    wrong("studies pull tiny", "--tracking-uri sqlite", "no such database", "that the search logs to"),
    wrong("studies resume tiny", "definition.json", "rfe studies pull", spoil=write(f"{TINY}/definition.json", "[1]")),
    wrong("studies show tiny", "journal.jsonl, line 1", spoil=write(f"{TINY}/journal.jsonl", "{}\n" * 2)),
    wrong("export tny", "did you mean tiny?"),
    wrong("export tiny --trial 77", "trial 77 is not among its 4 finished trials"),
    wrong("export tiny --models fold", "--models", "did you mean folds?"),
    wrong("export finl", "did you mean final?", spoil=write("w/ensembles/final/ensemble.json", "{}")),
    wrong("ensemble tny", "did you mean tiny?"),
    wrong("ensemble tiny --method gredy", "--method", "did you mean greedy?"),
    wrong("report tiny -o data", "--output data: holds something else than a report", "name another folder"),
    wrong("verify nothing", "nothing: no such bundle", "rfe export wrote"),
    wrong(f"predict data {DATA}", "data: no bundle", "a folder with a MANIFEST.json"),
    wrong("score my.json --data data", "'predictions' must map", spoil=write("my.json", '{"predictions": []}')),
    wrong("score my.npz --data data", "my.npz", "damaged", "numpy.savez", spoil=write("my.npz", b"nonsense")),
    # ---- places and machines
    wrong(f"{SEARCH} --address http://127.0.0.1:8265", "is a dashboard", "rfe submit --address"),
    wrong("studies list --tracking-uri http://127.0.0.1:9", "http://127.0.0.1:9", "does not answer", "is it running"),
    wrong("jobs list --address localhost", "'localhost' is not the URL of a Ray dashboard", "http://HOST:8265"),
    wrong("studies list --tracking-uri runs", "--tracking-uri='runs' is a folder", "http://HOST:PORT"),
    wrong("studies list --workspace data/metadata.csv", "metadata.csv is a file", "name a folder"),
    wrong("ui --port 45871", "--port 45871", "choose another", spoil=take_port),
    wrong("ui --port 99999", "'--port'", "less than or equal to 65535"),
    wrong("init data/metadata.csv", "metadata.csv: is a file", "name a folder"),
    wrong(SIMULATE, "No space left on device", "make room", spoil=full_disk),
    wrong(SIMULATE, "sim", "Read-only file system", "choose another folder", spoil=read_only),
    # ---- not the user's
    wrong("data check data", "(ValueError: it is seven)", spoil=raises(ValueError("it is seven")), code=1),
    wrong("data check data", "interrupted", spoil=raises(KeyboardInterrupt()), code=130),
]


# ---- what stands in the current folder before the command


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound data folder `data`, and a workspace `w` with the stopped study `tiny`, whose trial 3 failed."""
    folder = tmp_path_factory.mktemp("place")
    dataset = load_dataset(fakes.write_data(folder / "data", actors=3, targets=4))
    run_study(open_workspace(folder / "w"), dataset, NullTracker())
    return folder


@pytest.fixture(autouse=True)
def here(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("RFE_", "MLFLOW_TRACKING", "RAY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RFE_WORKSPACE", "w")
    # Ray, in a thread that outlives the error; and no study may begin
    monkeypatch.setattr("rfe.search.driver.import_module", lambda name: None)
    monkeypatch.setattr("rfe.search.driver.StudyStore.open", begin)
    return tmp_path


def files_below(folder: Path) -> set[str]:
    """All but what is prepared for any later command."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths if "cache" not in path.parts}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.line}: {case.said[0]}")
def test_each_is_answered_in_a_sentence(case: Case, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if case.spoil is not None:
        case.spoil(monkeypatch)
    before = files_below(here)
    ended = invoke(*case.line.split())
    monkeypatch.undo()
    said = " ".join(re.sub("[│╭╮╰╯─]", " ", ended.stderr).split())
    assert ended.exit_code == case.code, ended.output
    assert ended.stdout == ""
    missing = [fragment for fragment in case.said if fragment not in said]
    assert not missing, said
    assert "Traceback" not in said
    assert files_below(here) == before
