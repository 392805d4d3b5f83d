"""The live page in headless Chromium: it refreshes itself, fits a phone, and goes by the keyboard, with many trials."""

import json
import random
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rfe.journal.events import StudyLog
from rfe.journal.records import as_json, read_events
from rfe.progress import SearchStatus
from rfe.reporting.watch.page import watch_html
from rfe.reporting.watch.serve import PageServer
from rfe.reporting.watch.study import WatchedStudy
from rfe.tracking.live import LiveStatus
from rfe.writing import write_json
from tests.unit.reporting.watch.journals import append, line, trial_line, write_study

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
DRAW_S = 120
INK = """(id) => {
  const canvas = document.getElementById(id);
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] > 200) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  return colours.size;
}"""


class Reader:
    """One open page, with what it said and what it asked for."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * DRAW_S)
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda one: self.faults.append(one.text) if one.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda one: self.requests.append(one.url))
        self.page.goto(address, wait_until="load")

    def wait_for(self, script: str, value: Any) -> None:
        """Asked again and again, as the page's policy lets no text be evaluated in it."""
        deadline = time.monotonic() + DRAW_S
        while time.monotonic() < deadline:
            if self.page.evaluate(script) == value:
                return
            self.page.wait_for_timeout(100)
        pytest.fail(f"{script} is {self.page.evaluate(script)!r}, not {value!r}; {self.faults}")


def write_page(folder: Path, n: int) -> Path:
    study = write_study(folder, n)
    path = folder / "page.html"
    path.write_text(watch_html(as_json(WatchedStudy(study).payload()), every_s=0, served=False))
    return path


@pytest.fixture(scope="module", params=[0, 1, 10, 1000, 10_000])
def page_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    return request.param, write_page(tmp_path_factory.mktemp("watch"), request.param)


@pytest.mark.parametrize("kind", ["light", "dark", "phone"])
def test_the_page_fits_and_is_drawn_at_any_size_of_study(kind: str, browser: Any, page_path: tuple[int, Path]) -> None:
    n, path = page_path
    options: dict[str, Any] = {"offline": True, "color_scheme": "dark" if kind == "dark" else "light"}
    if kind == "phone":
        options |= {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
    reader = Reader(browser, path.as_uri(), **options)
    reader.wait_for("document.documentElement.dataset.drawn", str(n))
    assert reader.faults == []
    assert [url for url in reader.requests if not url.startswith("data:")] == [path.as_uri()]
    wide, visible = reader.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= visible
    assert reader.page.evaluate("document.querySelectorAll('*').length") < 700  # elements do not grow with trials
    assert reader.page.evaluate(INK, "history") > (3 if n else 1)
    levels = reader.page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((head) => +head.tagName[1])")
    assert levels == [1, *[2] * 6]
    if n >= 10:
        assert reader.page.evaluate(INK, "parallel") > 3
        ended = reader.page.locator("#numbers dd").first.inner_text()
        assert ended == f"{n:,} of {n + 10:,}"
    reader.context.close()


def test_names_and_reasons_are_text(browser: Any, tmp_path: Path) -> None:
    reader = Reader(browser, write_page(tmp_path, 30).as_uri())
    cell = reader.page.locator("#failures td.long").first
    assert cell.inner_text() == "the loss is no longer finite at epoch 3 <b>&amp;</b>"
    reader.context.close()


def test_a_changed_study_shows_its_end_its_queue_and_what_was_narrowed(browser: Any, tmp_path: Path) -> None:
    """Before, a study that was given fewer trials said "30 of 40" until its end, and nothing of a narrowed space."""
    folder = write_study(tmp_path, 30)
    narrowed = {"train.lr": "0.001 to 0.002 (log)"}
    began = next(one for one in read_events(folder) if isinstance(one, StudyLog))
    space = {**began.space, **narrowed}
    study = {"session": "s", "settings": {"budget.trials": 40}, "space": space, "narrowed": narrowed}
    effects = {"queue": [{"id": "a/0", "params": {}}]}
    append(folder, [line(folder, "request", id="a", effects=effects), line(folder, "study", starts=False, **study)])
    live = LiveStatus("s", "elsewhere", 1, time.time(), "search big", SearchStatus(32, 28))
    write_json(folder.live, live.to_dict())
    path = tmp_path / "page.html"
    path.write_text(watch_html(as_json(WatchedStudy(folder).payload()), every_s=0, served=False))
    reader = Reader(browser, path.as_uri())
    reader.wait_for("document.documentElement.dataset.drawn", "30")
    numbers = reader.page.locator("#numbers").inner_text()
    assert "30 of 32" in numbers
    assert re.search(r"queued by the user\s+1", numbers)
    assert "Narrowed since the study began: train.lr: 0.001 to 0.002 (log)." in reader.page.inner_text("#parallel-note")
    assert reader.faults == []
    reader.context.close()


def test_a_trial_is_chosen_by_keys_by_click_and_from_the_table(browser: Any, tmp_path: Path) -> None:
    reader = Reader(browser, write_page(tmp_path, 40).as_uri())
    page, figure = reader.page, reader.page.locator("#history")

    def chosen() -> str:
        found = re.match(r"Trial (\d+): (\w+)", page.locator("#selected").inner_text())
        assert found
        return found[0]

    figure.focus()
    page.keyboard.press("Home")
    assert chosen() == "Trial 0: complete"
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert chosen() == "Trial 3: failed"
    assert figure.get_attribute("aria-valuenow") == "3"
    assert str(figure.get_attribute("aria-valuetext")).startswith("Trial 3: failed")
    page.keyboard.press("End")
    assert chosen() == "Trial 39: complete"
    page.keyboard.press("b")
    best = page.locator("#best button").first.inner_text()
    assert chosen() == f"Trial {best}: complete"
    second = page.locator("#best button").nth(1)
    second.focus()
    page.keyboard.press("Enter")
    assert chosen() == f"Trial {second.inner_text()}: complete"
    box = figure.bounding_box()
    figure.click(position={"x": box["width"] - 16, "y": 40})
    assert chosen() == "Trial 39: complete"
    page.reload()  # what was chosen stays
    assert chosen() == "Trial 39: complete"
    page.select_option("#metric", "acc_presence")
    assert "acc_presence of" in page.locator("#history-note").inner_text()
    assert reader.faults == []
    reader.context.close()


def test_everything_can_be_reached_with_the_tab_key_and_has_a_name(browser: Any, tmp_path: Path) -> None:
    reader = Reader(browser, write_page(tmp_path, 40).as_uri())
    seen = []
    for _ in range(40):
        reader.page.keyboard.press("Tab")
        seen.append(reader.page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"skip", "metric", "history", "marked", "scroll"} <= {*seen}
    unnamed = reader.page.evaluate(
        "[...document.querySelectorAll('button, select, canvas, [tabindex]')].filter((one) => !one.closest('[hidden]')"
        " && !(one.getAttribute('aria-label') || one.closest('label') || one.textContent.trim())).map((one) => one.id)"
    )
    assert unnamed == []
    reader.context.close()


def test_motion_is_left_out_where_it_is_not_wanted(browser: Any, tmp_path: Path) -> None:
    path = write_page(tmp_path, 10)
    for wanted, seconds in (("no-preference", "0.4s"), ("reduce", "0s")):
        reader = Reader(browser, path.as_uri(), reduced_motion=wanted)
        part = "getComputedStyle(document.querySelector('.part.complete')).transitionDuration"
        assert reader.page.evaluate(part) == seconds
        reader.context.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageServer]:
    folder = write_study(tmp_path, 12)
    live = LiveStatus("s1", "elsewhere", 1, time.time() + 3600, "search big")
    write_json(folder.live, live.to_dict())
    with PageServer(folder, 0, 0.5) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_served_page_gets_what_is_new_and_can_be_paused(browser: Any, server: PageServer, tmp_path: Path) -> None:
    folder = server.study._folder
    reader = Reader(browser, server.address)
    drawn, state = "document.documentElement.dataset.drawn", "document.getElementById('state').textContent"
    reader.wait_for(drawn, "12")
    reader.wait_for(state, "running")
    config = json.loads(folder.journal.read_text().splitlines()[1])["config"]
    append(folder, [trial_line(folder, 12, config, random.Random(0))])
    reader.wait_for(drawn, "13")
    asked = [url for url in reader.requests if "/data?" in url]
    assert any("start=12&" in url for url in asked)
    assert all(url.startswith(server.address) for url in reader.requests if not url.startswith("data:"))
    reader.page.click("#pause")
    assert reader.page.locator("#pause").get_attribute("aria-pressed") == "true"
    append(folder, [trial_line(folder, 13, config, random.Random(1))])
    reader.page.wait_for_timeout(1500)
    assert reader.page.evaluate(drawn) == "13"
    reader.page.click("#pause")
    reader.wait_for(drawn, "14")
    folder.live.unlink()
    append(folder, [line(folder, "outcome", state="finished", summary="", scores={"score_selected": 0.31})])
    reader.wait_for(state, "finished")
    assert "score_selected 0.31" in reader.page.locator("#updated").inner_text()
    assert reader.faults == []
    reader.context.close()


def test_a_server_that_is_gone_is_said(browser: Any, server: PageServer) -> None:
    reader = Reader(browser, server.address)
    reader.page.route("**/data?*", lambda route: route.abort())
    reader.wait_for("document.getElementById('updated').textContent.startsWith('no answer from rfe watch')", True)
    reader.context.close()
