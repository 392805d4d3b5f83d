"""The page's server: on this machine only, for this machine's names only; and the page as a file."""

import gzip
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rfe.reporting.watch import serve
from rfe.reporting.watch.page import script_json, watch_html
from rfe.reporting.watch.serve import PageServer, keep_page
from rfe.reporting.watch.study import WatchedStudy
from rfe.tracking.live import LiveStatus
from rfe.workspace import StudyFolder
from rfe.writing import write_json
from tests.unit.cli.invoke import invoke
from tests.unit.reporting.watch.journals import append, line, write_study


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return write_study(tmp_path, 30)


@pytest.fixture
def server(folder: StudyFolder) -> Iterator[PageServer]:
    with PageServer(folder, 0, 5.0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: PageServer, path: str, **headers: str) -> tuple[Any, bytes]:
    with urllib.request.urlopen(urllib.request.Request(server.address + path, headers=headers), timeout=20) as answer:
        return answer.headers, answer.read()


def test_the_page_and_what_it_lacks_are_served(server: PageServer) -> None:
    headers, page = get(server, "")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert b'"served":true' in page
    head = json.loads(get(server, "data?start=28&changes=0")[1])
    assert (head["start"], [row[0] for row in head["rows"]]) == (28, [28, 29])
    for strange in ("data", "data?start=-1&changes=x", "data?start=99999999999999", "data?changes=0&start=28&start=3x"):
        assert json.loads(get(server, strange)[1])["start"] in (0, 28)
    headers, packed = get(server, "data", **{"Accept-Encoding": "gzip"})
    assert len(json.loads(gzip.decompress(packed))["rows"]) == 30


def test_it_listens_on_this_machine_and_answers_to_its_names_only(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    get(server, "", Host=f"localhost:{server.server_port}")
    for path, host, status in (
        ("", "evil.example", 403),
        ("data", "evil.example:80", 403),
        ("../../etc/passwd", "", 404),
    ):
        with pytest.raises(urllib.error.HTTPError) as error:
            get(server, path, **({"Host": host} if host else {}))
        assert error.value.code == status


def test_a_damaged_journal_is_an_answer(server: PageServer, folder: StudyFolder) -> None:
    append(folder, ["{"])
    assert len(json.loads(get(server, "data")[1])["rows"]) == 30  # what came before the damage
    with pytest.raises(urllib.error.HTTPError) as error:
        get(server, "data")
    assert error.value.code == 500
    assert b"not a journal record" in error.value.read()


def test_the_page_is_one_file_that_asks_nothing_of_others(folder: StudyFolder) -> None:
    for served, connect in ((True, "'self'"), (False, "'none'")):
        page = watch_html(WatchedStudy(folder).payload(), every_s=5, served=served)
        assert f"connect-src {connect};" in page
        assert "default-src 'none'" in page
        assert "@@" not in page
        assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", page)
        assert "<b>" not in page  # of a failure's reason
    assert json.loads(script_json("</script>&")) == "</script>&"
    assert "</" not in script_json("</script>")


def test_a_file_is_written_until_the_search_ends(
    folder: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen, notes = tmp_path / "pages" / "page.html", [], list[str]()
    write_json(folder.live, LiveStatus("s", "elsewhere", 1, 4e9, "search big").to_dict())

    def sleep(seconds: float) -> None:
        seen.append((seconds, '"every_s":3' in path.read_text()))
        if len(seen) == 2:
            folder.live.unlink()
            append(folder, [line(folder, "outcome", state="finished", summary="", scores={})])

    monkeypatch.setattr(serve.time, "sleep", sleep)
    keep_page(folder, path, every_s=3, note=notes.append)
    assert seen == [(3, True), (3, True)]
    assert len(notes) == 1
    assert '"every_s":0' in path.read_text()
    assert '"state":"finished"' in path.read_text()
    assert list(path.parent.iterdir()) == [path]


# ---- the command


def test_the_command_writes_the_page_or_its_data(folder: StudyFolder, tmp_path: Path) -> None:
    ended = invoke("watch", "big", "-o", tmp_path / "p.html", "--workspace", tmp_path)
    assert ended.exit_code == 0
    assert (tmp_path / "p.html").stat().st_size > 20_000
    ended = invoke("watch", "big", "--json", "--workspace", tmp_path)
    assert json.loads(ended.stdout)["counts"]["complete"] == 26


def test_the_command_says_its_address(folder: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(server: PageServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PageServer, "serve_forever", interrupt)
    ended = invoke("watch", "big", "--port", "18765", "--workspace", tmp_path)
    assert ended.exit_code == 0
    assert re.search(r"study big is at http://127\.0\.0\.1:\d+/ ", ended.stdout)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("big", "--every", "0"), "--every 0: give 0.5 to 3600 seconds"),
        (("big", "--port", "70000"), "equal to 65535"),
        (("bgi",), "did you mean big"),
        (("big", "-o", "."), "is a folder; name a file in it"),
        (("../big",), "study name"),
    ],
)
def test_wrong_inputs(words: tuple[str, ...], said: str, folder: StudyFolder, tmp_path: Path) -> None:
    ended = invoke("watch", *words, "--workspace", tmp_path)
    assert ended.exit_code == 2
    assert said in ended.stderr


def test_a_browser_that_goes_away_is_not_reported(server: PageServer, capsys: pytest.CaptureFixture[str]) -> None:
    for error in (BrokenPipeError(), ConnectionResetError()):
        try:
            raise error
        except OSError:
            server.handle_error(None, ("127.0.0.1", 1))
    assert capsys.readouterr().err == ""
