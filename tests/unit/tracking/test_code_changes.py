"""The uncommitted code of a search is kept with its study: bounded, and not where it holds a secret."""

import os
import subprocess
from pathlib import Path

import pytest

from rfe.journal.events import StudyLog
from rfe.journal.journal import Journal
from rfe.journal.records import read_events
from rfe.tracking import code_changes
from rfe.tracking.code_changes import CodeState, keep_code
from rfe.tracking.presentation import study_tags
from rfe.tracking.run_writer import RunWriter
from tests.unit.tracking.logs import study_folder, study_log
from tests.unit.tracking.test_run_writer import MemoryServer

TOKEN = "ghp_" + "a1B2" * 9


def git(place: Path, *words: str) -> str:
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *identity, *words], cwd=place, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = tmp_path / "code"
    (place / "deep").mkdir(parents=True)
    git(place, "init", "-q")
    (place / "model.py").write_text("layers = 2\n")
    git(place, "add", ".")
    git(place, "commit", "-qm", "begin")
    return place


def test_changes_are_kept_once_with_the_names_of_files_that_git_does_not_know(repository: Path, tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    commit = git(repository, "rev-parse", "HEAD")
    assert keep_code(folder, repository) == CodeState(commit)
    assert not folder.path.exists()
    (repository / "model.py").write_text("layers = 3\n")
    (repository / "deep" / "new ü.py").write_text("TOKEN = 'not in git'\n")
    first = keep_code(folder, repository / "deep")  # all of the repository, from any folder of it
    assert (first.commit, first.note) == (commit, "")
    text = (folder.path / first.diff).read_text()
    assert text.startswith(f"# changes since commit {commit}\n# not in git: deep/new ü.py\ndiff --git ")
    assert "-layers = 2\n+layers = 3\n" in text
    assert "not in git'" not in text
    assert keep_code(folder, repository) == first
    (repository / "model.py").write_text("layers = 4\n")
    second = keep_code(folder, repository)
    assert sorted(path.name for path in folder.code.iterdir()) == sorted(Path(one.diff).name for one in (first, second))
    git(repository, "checkout", "-q", "model.py")
    git(repository, "apply", str(folder.path / first.diff))  # what it is for
    assert (repository / "model.py").read_text() == "layers = 3\n"


def test_a_secret_is_not_kept(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study_folder(tmp_path)
    monkeypatch.setenv("MY_PASSWORD", "pa55-of-mine")
    for text, kind in (
        (f"token = '{TOKEN}'", "a token"),
        ("key = pa55-of-mine", "the value of a secret environment variable"),
        ("url = 'https://me:hunter22@host/x'", "an address with a password"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
        ('password: "hunter22"', "a password"),
    ):
        (repository / "model.py").write_text(f"layers = 3\n{text}\n")
        state = keep_code(folder, repository)
        assert state.diff == ""
        assert f"hold {kind}, so they are not kept with the study" in state.note
        assert not [one for one in (TOKEN, "pa55-of-mine", "hunter22") if one in state.note]
    assert not folder.path.exists()


def test_ordinary_code_is_no_secret(repository: Path, tmp_path: Path) -> None:
    (repository / "model.py").write_text(
        "token = tokenizer(text)\npassword = os.environ['PASSWORD']\nurl = f'https://{user}:{password}@{host}'\n"
        "http://localhost:5000/a@b sk-learn secret = None\n@decorator\nx: int = 3\n"
    )
    state = keep_code(study_folder(tmp_path), repository)
    assert (state.note, bool(state.diff)) == ("", True)


def test_a_large_diff_is_not_kept(repository: Path, tmp_path: Path) -> None:
    (repository / "model.py").write_text("x = 1\n" * 300_000)
    state = keep_code(study_folder(tmp_path), repository)
    assert state.diff == ""
    assert "over 1 MiB and are not kept; commit them" in state.note


def test_without_a_repository_a_commit_or_git_there_is_nothing(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study_folder(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "plain").mkdir()
    assert keep_code(folder, tmp_path / "plain") == CodeState()
    git(tmp_path / "plain", "init", "-q")
    assert keep_code(folder, tmp_path / "plain") == CodeState()
    monkeypatch.setattr(code_changes, "_GIT", ("no-such-git",))
    assert keep_code(folder, repository) == CodeState()
    assert not folder.path.exists()


def test_no_program_that_the_repository_names_is_run(repository: Path, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    hook.chmod(0o755)
    for name in ("core.fsmonitor", "diff.external", "diff.x.textconv", "core.pager"):
        git(repository, "config", name, str(hook))
    (repository / ".git" / "info" / "attributes").write_text("* diff=x\n")
    (repository / "model.py").write_text("layers = 3\n")
    assert keep_code(study_folder(tmp_path), repository).diff
    assert not (tmp_path / "ran").exists()


def test_a_git_that_hangs_is_given_up(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(code_changes, "GIT_S", 0.2)
    assert keep_code(study_folder(tmp_path), repository) == CodeState()


def test_journal_and_mlflow_name_it(repository: Path, tmp_path: Path) -> None:
    folder, server = study_folder(tmp_path), MemoryServer()
    (repository / "model.py").write_text("layers = 3\n")
    code = keep_code(folder, repository)
    with Journal(folder) as journal:
        log = journal.record_study(study_log(code_commit=code.commit, code_diff=code.diff))
        writer = RunWriter(server, folder, 20, "memory")
        writer.open(log)
        writer.refresh()
    [known] = read_events(folder)
    assert isinstance(known, StudyLog)
    assert (known.code_commit, known.code_diff) == (code.commit, code.diff)
    tags = server.tags(writer.study_run_id)
    assert (tags["rfe.code_commit"], tags["rfe.code_diff"]) == (code.commit, code.diff)
    assert code.diff in server.runs[writer.study_run_id]["files"]
    assert "rfe.code_diff" not in study_tags(study_log())
