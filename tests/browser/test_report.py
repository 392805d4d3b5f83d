"""A report as a reader has it: opened from the disk in headless Chromium, offline, light and dark, on a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rfe.progress import SilentProgress
from rfe.reporting.report.build import build_report
from rfe.reporting.report.colours import DARK, LIGHT
from rfe.reporting.report.write import write_report
from tests.unit.reporting.report.studies import make_workspace

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
SIZES = {"light": (1280, 900), "dark": (1280, 900), "phone": (390, 800)}
DRAW_S = 600
SIZE_OF_PLOTS = """() => [...document.querySelectorAll('.plot')].map((plot) => {
  const svg = plot.querySelector('svg.main-svg');
  const box = svg ? svg.getBoundingClientRect() : { width: 0, height: 0 };
  const marks = plot.querySelectorAll('.trace, .point, .hm image, .heatmaplayer image').length;
  return [plot.dataset.drawn, box.width, box.height, marks];
})"""


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    workspace, _ = make_workspace(folder)
    report, _ = build_report(["first"], workspace, None, SilentProgress())
    return write_report(report, folder / "out", ["first"], SilentProgress()).html


class Reader:
    """One open page, with what it said and what it asked for."""

    def __init__(self, browser: Any, path: Path, kind: str) -> None:
        width, height = SIZES[kind]
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if kind == "dark" else "light",
            has_touch=kind == "phone",
            is_mobile=kind == "phone",
            offline=True,
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * DRAW_S)
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda one: self.faults.append(one.text) if one.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda one: self.requests.append(one.url))
        self.page.goto(path.as_uri(), wait_until="commit")
        self.wait_for("dark" if kind == "dark" else "light")

    def wait_for(self, scheme: str) -> None:
        """Until everything is drawn in this scheme; asked, as the page's policy lets nobody evaluate text in it."""
        for _ in range(5 * DRAW_S):
            if self.page.evaluate("document.documentElement && document.documentElement.dataset.drawn") == scheme:
                return
            self.page.wait_for_timeout(200)
        pytest.fail(f"not all figures were drawn ({scheme}); {self.faults}")


@pytest.fixture(params=list(SIZES))
def reader(request: pytest.FixtureRequest, browser: Any, page_path: Path) -> Iterator[Reader]:
    reader = Reader(browser, page_path, request.param)
    yield reader
    reader.context.close()


def test_the_page_is_quiet_whole_and_fits(reader: Reader, page_path: Path) -> None:
    assert reader.faults == []
    assert [url for url in reader.requests if not url.startswith("data:")] == [page_path.as_uri()]
    plots = reader.page.evaluate(SIZE_OF_PLOTS)
    assert len(plots) > 15
    assert all(drawn == "yes" and width > 100 and height > 100 and marks for drawn, width, height, marks in plots)
    wide, visible = reader.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= visible
    if visible > 1000:  # elsewhere the table scrolls by itself
        table = "document.querySelector('#table-side-by-side').parentElement"
        assert reader.page.evaluate(f"{table}.scrollWidth <= {table}.clientWidth")
    levels = reader.page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map((head) => +head.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    targets = reader.page.evaluate(
        "[...document.querySelectorAll('nav a')].every((a) => document.querySelector(a.hash))"
    )
    assert targets


@pytest.fixture(scope="module")
def light(browser: Any, page_path: Path) -> Iterator[Reader]:
    reader = Reader(browser, page_path, "light")
    yield reader
    reader.context.close()


def test_tables_are_sorted_by_click_and_by_key(light: Reader) -> None:
    def scores() -> list[float]:
        cells = light.page.evaluate(
            "[...document.querySelectorAll('#table-first-best-trials td:nth-child(2)')].map((one) => one.dataset.value)"
        )
        return [float(cell) for cell in cells]

    head = light.page.locator("#table-first-best-trials th").nth(1)
    before = scores()
    assert before == sorted(before, reverse=True)
    head.locator("button").click()
    assert scores() == sorted(before)
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").press("Enter")
    assert scores() == before
    assert head.get_attribute("aria-sort") == "descending"
    light.page.locator("#table-first-best-trials th button").nth(0).click()
    assert head.get_attribute("aria-sort") is None


def test_figures_follow_the_scheme_and_print_has_stills(light: Reader) -> None:
    def ink() -> str:
        return str(
            light.page.evaluate("JSON.stringify(document.querySelector('#figure-first-convergence .plot').data)")
        )

    assert LIGHT["blue"] in ink()
    light.page.emulate_media(color_scheme="dark")
    light.wait_for("dark")
    assert DARK["blue"] in ink()
    assert LIGHT["blue"] not in ink()
    light.page.emulate_media(media="print", color_scheme="light")
    light.wait_for("light")
    shown = light.page.evaluate(
        "[...document.querySelectorAll('img.still')].map((one) => [one.complete, one.naturalWidth, one.offsetWidth])"
    )
    assert shown
    assert all(complete and natural > 100 and width > 100 for complete, natural, width in shown)
    assert light.page.evaluate("document.querySelector('.plots').offsetWidth") == 0
