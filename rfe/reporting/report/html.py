"""A report as one HTML file that needs nothing else: styles, scripts, figures and plotly.js are in it."""

import base64
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from rfe.reporting.report.colours import dark_of
from rfe.reporting.report.document import Block, Column, Figure, ReportDocument, ReportSection, Table, Text, say
from rfe.reporting.report.interactive import plots

PAGE = files("rfe.reporting.report") / "page"
LONG = 36
"""Letters from which on a cell gets room."""


def report_html(report: ReportDocument, stills: Mapping[str, tuple[bytes, bytes]]) -> str:
    """The page.

    Args:
        report: what it says.
        stills: figure's name -> (PNG, SVG), for print and for readers without scripts.
    """
    from plotly.offline import get_plotlyjs

    page = _Page(stills)
    sections = [page.section(section) for section in report.sections]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["code"] = _code
    template = environment.from_string(_read("report.html.j2"))
    return template.render(
        report=report,
        sections=sections,
        heights=[plot["layout"]["height"] for plot in page.plots],
        plots_json=_json(page.plots),
        dark_json=_json(dark_of()),
        css=Markup(_read("report.css")),
        js=Markup(_script(_read("report.js"))),
        plotly_js=Markup(_script(get_plotlyjs())),
    )


class _Page:
    """What the template is given, gathered section by section."""

    def __init__(self, stills: Mapping[str, tuple[bytes, bytes]]) -> None:
        self.plots: list[dict[str, Any]] = []
        self._stills = stills
        self._ids: set[str] = set()

    def section(self, section: ReportSection) -> dict[str, Any]:
        return {
            "id": self._id(section.title),
            "title": section.title,
            "blocks": [self._block(block) for block in section.blocks],
            "sections": [self.section(inner) for inner in section.sections],
        }

    def _id(self, title: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        name, n = base, 2
        while name in self._ids:
            name, n = f"{base}-{n}", n + 1
        self._ids.add(name)
        return name

    def _block(self, block: Block) -> dict[str, Any]:
        if isinstance(block, Text):
            return {"kind": "text", "style": block.kind, "words": block.words}
        if isinstance(block, Table):
            return _table(block)
        return self._figure(block)

    def _figure(self, figure: Figure) -> dict[str, Any]:
        first = len(self.plots)
        self.plots += plots(figure)
        return {
            "kind": "figure",
            "name": figure.name,
            "title": figure.title,
            "alt": figure.alt,
            "note": figure.note,
            "size": figure.size,
            "plots": list(range(first, len(self.plots))),
            "still": _data_uri(*self._stills[figure.name]),
        }


def _table(table: Table) -> dict[str, Any]:
    numeric = table.numeric
    return {
        "kind": "table",
        "name": table.name,
        "title": table.title,
        "note": table.note,
        "columns": [
            {"title": column.title, "style": "number" if number else "text"}
            for column, number in zip(table.columns, numeric, strict=True)
        ],
        "rows": [[_cell(*each) for each in zip(row, table.columns, numeric, strict=True)] for row in table.rows],
    }


def _cell(value: Any, column: Column, numeric: bool) -> dict[str, Any]:
    text = say(value, column)
    style = "number" if numeric else "long" if len(text) > LONG else "text"
    number = isinstance(value, int | float) and not isinstance(value, bool) and text
    return {"text": text, "style": style, "value": repr(float(value)) if number else text}


def _data_uri(png: bytes, svg: bytes) -> str:
    """The smaller of the two."""
    kind, content = ("svg+xml", svg) if len(svg) < len(png) else ("png", png)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _code(words: str) -> Markup:
    """Escaped, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(words))))


def _json(value: Any) -> Markup:
    """JSON escaped so that it cannot end the script element around it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _script(text: str) -> str:
    return re.sub(r"</(script)", r"<\\/\1", text, flags=re.IGNORECASE)


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
