"""What a user can get wrong, over all commands: each is answered with what, where and what to do, and the right code.

2: the user's input, 1: an internal error, 130: interrupted. Nothing half-written stays, and no traceback is shown.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rfe.data.dataset import load_dataset
from rfe.tracking.base import NullTracker
from rfe.workspace import open_workspace
from tests.integration import fakes
from tests.unit.cli.invoke import invoke
from tests.unit.cli.spoil import (
    Spoil,
    begin,
    claim,
    clips,
    cut,
    features,
    full_disk,
    keep_one_actor,
    raises,
    read_only,
    rename_column,
    space,
    take_port,
    training,
    with_nan,
    write,
)
from tests.unit.search.tiny_study import run_study

JOB = "command: search everything\ndata: /d\nworkspace: /w\n"
WEIRD = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)
DATA = "--data data"
SEARCH, MY = f"search everything {DATA}", f"search my.yaml {DATA}"


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
    wrong(f"{SEARCH} --hours -1", "hours (--hours): -1.0 is not a number above 0"),
    wrong(f"{SEARCH} --hours nan", "hours (--hours): nan is not a number above 0"),
    wrong(f"{SEARCH} --workers 0", "'--workers'", "greater than or equal to 1"),
    wrong(f"{SEARCH} --set train.lrr=1", "unknown field 'train.lrr'", "did you mean train.lr?"),
    wrong(f"{SEARCH} --set train.lr", "--set", "'train.lr'", "write it as name=value"),
    wrong(f"train baselines/concat_mlp {DATA} --set train.epochs=many", "train.epochs: 'many'", "a whole number"),
    wrong(f"{SEARCH} --set pool=[godo]", "godo", "did you mean good?"),
    wrong("search everything", "no data", "name the data folder with --data"),
    wrong("search everything --data nowhere", "--data nowhere: is not a folder", "rfe data simulate"),
    wrong(f"search everythin {DATA}", "unknown search space or file 'everythin'", "did you mean everything?"),
    wrong(MY, "my.yaml does not exist", "give a YAML file"),
    wrong(f"search w {DATA}", "w is a folder", "give a YAML file"),
    wrong(f"{SEARCH} --warm-start tny", "unknown study 'tny'", "did you mean tiny?"),
    wrong(f"{SEARCH} --study a/b", "study name 'a/b'", "letters, digits, dots"),
    wrong(f"{SEARCH} --study=", "study name ''", "letters, digits, dots"),
    wrong(f"{SEARCH} --warm-start=", "study name ''", "letters, digits, dots"),
    wrong(f"train my.yaml {DATA}", "my.yaml: has study or space", "search it with `rfe search`", spoil=space()),
    wrong("train", "give a configuration file, or --from STUDY and --trial N"),
    wrong("schema spac", "unknown kind of file 'spac'", "did you mean space?"),
    # ---- files of settings
    wrong(MY, "my.yaml", "['a', 'b']", "must be a map", spoil=write("my.yaml", "- a\n- b\n")),
    wrong(MY, "my.yaml", "study: is missing", spoil=write("my.yaml", "")),
    wrong(MY, "budget is given twice, in lines 2 and 4", spoil=space("budget: {trials: 3}")),
    wrong(MY, "line 3", "not with tabs", spoil=write("my.yaml", "study: s\nbudget:\n\ttrials: 2\n")),
    wrong(MY, "is not UTF-8", "save it", spoil=write("my.yaml", "study: café\n".encode("latin-1"))),
    wrong(
        MY, "YAML reads 1e-3 as text", "write 0.001 for the number", "(line 4)", spoil=space("base: {train.lr: 1e-3}")
    ),
    wrong(MY, "leave the tag out", spoil=space("base: {train.weight_decay: !!python/name:os.system x}")),
    wrong(MY, "my.yaml", "aliases are written out", "use fewer", spoil=write("my.yaml", WEIRD)),
    wrong(MY, "my.yaml", "nested too deeply", spoil=write("my.yaml", "a: " + "[" * 3000)),
    wrong(MY, "my.yaml: 2.9 MiB is too large", spoil=write("my.yaml", b"#" * 3000000)),
    wrong(MY, "space.train.lr", "is no range", spoil=space(space="{train.lr: {float: [0.1, 0.01]}}")),
    wrong(MY, "budget.trials: 0 is not allowed", "at least 1", spoil=space(budget="{trials: 0}")),
    wrong(MY, "study s: budget", "--trials, --hours", spoil=space(budget="{}")),
    wrong(MY, "sampler.kind: 'randm'", "did you mean random?", spoil=space("sampler: {kind: randm}")),
    wrong(
        f"ablate my.yaml {DATA}",
        "plan n: no arm differs from the base",
        "name components",
        spoil=write("my.yaml", "name: n\n"),
    ),
    wrong(
        f"ablate my.yaml {DATA}",
        "seeds: 1",
        "at least 3",
        spoil=write("my.yaml", "name: n\nseeds: 1\ncomponents: all\n"),
    ),
    wrong("submit job.yaml", "job.yaml: command: is missing", spoil=write("job.yaml", "name: x\nworkspace: /w\n")),
    wrong(
        "submit job.yaml",
        "NOT_SET is not set here",
        "set it where",
        spoil=write("job.yaml", JOB + "secrets_from_env: [NOT_SET]\n"),
    ),
    wrong(
        "submit -- search everything --data /d",
        "workspace: is not given",
        "absolute",
        spoil=lambda m: m.delenv("RFE_WORKSPACE"),
    ),
    # ---- data
    wrong("data check nowhere", "nowhere is not a folder", "holds metadata.csv and *.npz"),
    wrong(
        "search everything --data empty",
        "empty",
        "no metadata: expected metadata.csv",
        spoil=lambda _: Path("empty").mkdir(),
    ),
    wrong(SEARCH, "metadata.csv is empty", "filename, split", spoil=write("data/metadata.csv", "")),
    wrong(SEARCH, "fold", "at least two", spoil=clips(lambda rows: rows.__delitem__(slice(1, None)))),
    wrong(
        SEARCH,
        "all training clips are in fold 0",
        "needs at least two",
        spoil=clips(lambda rows: [row.update(fold="0") for row in training(rows)]),
    ),
    wrong(SEARCH, "all training clips are in fold 0", "needs at least two", spoil=clips(keep_one_actor)),
    wrong(
        SEARCH,
        "actor A0 (folds 0, 2) is in more than one fold",
        "put all clips of an actor into one fold",
        spoil=clips(lambda rows: rows[0].update(fold="2")),
    ),
    wrong(SEARCH, "actor needs video_id", "--set data.standardize=fold", spoil=clips(rename_column)),
    wrong(
        f"train baselines/concat_mlp {DATA} --set data.standardize=actor", "needs video_id", spoil=clips(rename_column)
    ),
    wrong(SEARCH, "more than once", "a0_c0", spoil=clips(lambda rows: rows.append(rows[0]))),
    wrong(
        SEARCH,
        "emotion_1: unknown class 'joy'; this task",
        spoil=clips(lambda rows: rows[0].update(emotion_1="joy")),
    ),
    wrong(SEARCH, "fold: 'x' is not a number", "a0_c0", spoil=clips(lambda rows: rows[0].update(fold="x"))),
    wrong(SEARCH, "good_static", "NaN", "repair the values", spoil=features(X=with_nan, filenames=np.array)),
    wrong(SEARCH, "good_static", "no array 'filenames'", "X and filenames", spoil=features(X=np.array)),
    wrong(
        SEARCH,
        "good_static",
        "only pickle could load (unsafe)",
        "save it as",
        spoil=features(X=np.array, filenames=lambda names: names.astype(object)),
    ),
    wrong(SEARCH, "good_static", "damaged", "copy or", spoil=cut("data/good_static_features.npz", 900)),
    wrong(SEARCH, "good_static", "more than the file can hold", "damaged", spoil=claim("(25000000000, 1)")),
    wrong("data simulate -o sim --actors 2", "actors: 2 cannot fill 5 folds", "use 5 or more"),
    wrong("data simulate -o sim --size huge", "size: 'huge' is unknown", "use demo or full"),
    wrong("data simulate -o sim --actors 1000000000", "actors: 1000000000 makes 54,000,000,594 clips", "is free; use"),
    wrong("data corrupt data -o out --share 3", "share: 3 is not between 0 and 1", "use e.g. 0.3"),
    wrong("data corrupt data -o out --mode noise --within clip", "mode: 'noise' is unknown", "use swap or mask"),
    wrong("data corrupt data -o data", "data: is not empty", "name another folder"),
    wrong("data corrupt nowhere -o out", "nowhere is not a folder", "that holds metadata.csv"),
    wrong("data import nowhere -o out", "nowhere is not a folder", "unpacked"),
    wrong("data import w -o out", "w holds no train_metadata.csv", "unpack the published metadata"),
    wrong("data import data -o data", "data exists and is not empty", "give a new folder"),
    wrong("data aggregate w -o out", "no clip has a series", "<filename>.npy"),
    wrong("baselines --data data --encoder godo", "unknown encoder 'godo'", "did you mean good?"),
    # ---- studies, bundles, files of answers
    wrong("studies show tny", "unknown study 'tny'", "did you mean tiny?"),
    wrong("studies show tiny --sort scor", "--sort: unknown order 'scor'", "did you mean score?"),
    wrong("studies diff tiny 0 77", "no finished trial 77", "go from 0 to 4"),
    wrong("studies stop tiny", "'tiny' is not running", "`rfe studies list` shows which are"),
    wrong("studies add tiny", "nothing to add", "--set NAME=VALUE"),
    wrong("studies add tiny --set train.lr=5", "train.lr: 5 is not among what is searched", "choose one that is"),
    wrong("studies add tiny --config none.yaml", "none.yaml: there is no such file"),
    wrong("studies prune tiny", "or a condition with --where"),
    wrong("studies prune tiny 0", "trial 0 has ended already (complete)"),
    wrong("studies prune tiny --where scor<1", "unknown name 'scor'", "did you mean score?"),
    wrong("studies prune tiny --where score<", "is not a condition", "write comparisons"),
    wrong("studies change tiny", "nothing to change", "--trials, --hours or --workers"),
    wrong("studies change tiny --hours -1", "--hours", "-1.0 is not a number above 0"),
    wrong("studies narrow tiny", "nothing to narrow", "--space FILE"),
    wrong("studies narrow tiny --set train.lr=0.5", "base.train.lr: 0.5 is not among", "fix it at one of them"),
    wrong("studies retry tiny", "or all of them with --failed"),
    wrong("studies retry tiny 0", "trial 0 is complete", "add its configuration instead"),
    wrong("studies delete tiny", "no terminal to ask at", "--yes"),
    wrong("studies pull tiny", "--tracking-uri sqlite", "no such database", "that the search logs to"),
    wrong("export tiny --trial 77", "trial 77 is not among its 4 finished trials"),
    wrong("export tiny --models fold", "--models", "did you mean folds?"),
    wrong("train --from tiny --trial 77", "no finished trial 77", "go from 0 to 4"),
    wrong("ensemble tiny --method gredy", "--method", "did you mean greedy?"),
    wrong(
        "studies show tiny",
        "journal.jsonl, line 1",
        "rfe studies",
        spoil=write("w/studies/tiny/journal.jsonl", "{}\n{}\n"),
    ),
    wrong(
        "studies resume tiny",
        "definition.json",
        "rfe studies pull",
        spoil=write("w/studies/tiny/definition.json", "[1]"),
    ),
    wrong("export tiny", "ensemble.json: damaged", "rfe ensemble", spoil=write("w/ensembles/tiny/ensemble.json", "[]")),
    wrong("report tiny -o data", "--output data: holds something else than a report", "name another folder"),
    wrong("verify nothing", "nothing: no such bundle", "rfe export wrote"),
    wrong(f"predict data {DATA}", "data: no bundle", "a folder with a MANIFEST.json"),
    wrong(
        f"predict my.zip {DATA}",
        "my.zip",
        "damaged",
        "copy or export it again",
        spoil=write("my.zip", b"PK\x03\x04 torn"),
    ),
    wrong(
        "score my.json --data data", "my.json", "'predictions' must map", spoil=write("my.json", '{"predictions": []}')
    ),
    wrong("score my.npz --data data", "my.npz", "damaged", "numpy.savez", spoil=write("my.npz", b"nonsense")),
    # ---- places and machines
    wrong(f"{SEARCH} --address 127.0.0.1:9", "no Ray cluster at '127.0.0.1:9'", "ray start --head"),
    wrong(f"{SEARCH} --address http://127.0.0.1:8265", "is a dashboard", "rfe submit --address"),
    wrong("jobs list --address http://127.0.0.1:9", "no Ray dashboard answers at http://127.0.0.1:9", "ray start"),
    wrong("jobs list --address localhost", "'localhost' is not the URL of a Ray dashboard", "http://HOST:8265"),
    wrong("studies list --tracking-uri http://127.0.0.1:9", "http://127.0.0.1:9", "does not answer", "is it running"),
    wrong("studies list --tracking-uri sqlite:///gone.db", "gone.db", "no such database", "that the search logs to"),
    wrong("studies list --tracking-uri runs", "--tracking-uri='runs' is a folder", "http://HOST:PORT"),
    wrong("studies list --workspace data/metadata.csv", "metadata.csv is a file", "name a folder"),
    wrong("ui --port 45871", "--port 45871", "choose another", spoil=take_port),
    wrong("ui --port 99999", "'--port'", "less than or equal to 65535"),
    wrong("init data/metadata.csv", "metadata.csv: is a file", "name a folder"),
    wrong(
        "data simulate -o sim --actors 5 --test-actors 1 --clips-per-actor 2",
        "No space left on device",
        "make room",
        spoil=full_disk,
    ),
    wrong(
        "data simulate -o sim --actors 5 --test-actors 1 --clips-per-actor 2",
        "sim",
        "Read-only file system",
        "choose another folder",
        spoil=read_only,
    ),
    # ---- not the user's
    wrong(
        "data check data",
        "internal error, please report (ValueError: it is seven)",
        "traceback is in",
        spoil=raises(ValueError("it is seven")),
        code=1,
    ),
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


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 40
    assert {case.code for case in CASES} == {1, 2, 130}


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
