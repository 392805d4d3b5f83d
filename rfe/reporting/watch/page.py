"""The live page as one file: styles, script and data are in it; nothing is asked of any other place."""

import json
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from rfe.reporting.report.colours import DARK, LIGHT

PAGE = files("rfe.reporting.watch") / "assets"
REPORT_PAGE = files("rfe.reporting.report") / "page"
_MARK = re.compile(r"@@(\w+)@@")


def watch_html(data: Mapping[str, Any], *, every_s: float, served: bool) -> str:
    """The page.

    Args:
        data: of `WatchedStudy.payload`.
        every_s: how often it asks for new data; 0: never.
        served: it asks the server that it came from; else it is a file, which it loads again.
    """
    settings = {"every_s": every_s, "served": served}
    parts = {
        "title": escape(f"{data['name']} - rfe watch"),
        "connect": "'self'" if served else "'none'",
        "css": _colours() + _read(REPORT_PAGE, "report.css") + _read(PAGE, "watch.css"),
        "settings": script_json(settings),
        "data": script_json(data),
        "js": _read(PAGE, "charts.js") + _read(PAGE, "watch.js"),
    }
    return _MARK.sub(lambda mark: parts[mark[1]], _read(PAGE, "watch.html"))


def script_json(value: Any) -> str:
    """JSON escaped so that it cannot end the script element around it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _colours() -> str:
    """The figures' colours as variables, for light and dark pages."""

    def variables(colours: Mapping[str, str]) -> str:
        return ":root{" + "".join(f"--{name}:{colour};" for name, colour in colours.items()) + "}"

    return f"{variables(LIGHT)}@media (prefers-color-scheme: dark){{{variables(DARK)}}}"


def _read(folder: Any, name: str) -> str:
    return str((folder / name).read_text(encoding="utf-8"))
