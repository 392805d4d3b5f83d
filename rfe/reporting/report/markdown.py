"""A report as Markdown, with its figures beside it."""

from rfe.reporting.report.document import Figure, ReportDocument, ReportSection, Table, Text, say

LONGEST_TABLE = 40
"""Rows; the rest is in the CSV."""


def report_markdown(report: ReportDocument) -> str:
    """The whole report; figures are links to `figures/`."""
    lines = [f"# {_plain(report.title)}", "", *(f"{_plain(words)}\n" for words in report.lead)]
    lines += [f"- **{_plain(sentence)}**" for sentence in report.headlines]
    if report.caveats:
        lines += ["", "## Read this first", "", *(f"> - {_plain(caveat)}" for caveat in report.caveats)]
    for section in report.sections:
        lines += ["", *_section(section, 2)]
    lines += ["", "---", "", ", ".join(f"{name}: {_plain(value)}" for name, value in report.made.items())]
    return "\n".join(lines).rstrip() + "\n"


def _section(section: ReportSection, level: int) -> list[str]:
    lines = [f"{'#' * level} {_plain(section.title)}", ""]
    for block in section.blocks:
        if isinstance(block, Text):
            lines += [f"> {_plain(block.words)}" if block.kind == "caveat" else _plain(block.words), ""]
        elif isinstance(block, Table):
            lines += [*_table(block), ""]
        else:
            lines += [*_figure(block), ""]
    for inner in section.sections:
        lines += _section(inner, level + 1)
    return lines


def _table(table: Table) -> list[str]:
    lines = [f"**{_plain(table.title)}**", ""]
    lines.append("| " + " | ".join(_plain(column.title) for column in table.columns) + " |")
    lines.append("|" + "---|" * len(table.columns))
    for row in table.rows[:LONGEST_TABLE]:
        cells = (_plain(say(value, column)) for value, column in zip(row, table.columns, strict=True))
        lines.append("| " + " | ".join(cells) + " |")
    if len(table.rows) > LONGEST_TABLE:
        lines += ["", f"{len(table.rows) - LONGEST_TABLE} more rows in tables/{table.name}.csv."]
    return [*lines, "", _plain(table.note)] if table.note else lines


def _figure(figure: Figure) -> list[str]:
    alt = _plain(figure.alt).replace("[", "(").replace("]", ")")
    lines = [f"**{_plain(figure.title)}**", "", f"![{alt}](figures/{figure.name}.png)"]
    return [*lines, "", _plain(figure.note)] if figure.note else lines


def _plain(text: str) -> str:
    """`text` taken literally in Markdown, also within a cell."""
    text = text.replace("\\", "\\\\").replace("\n", " ")
    for letter in "|*_<":
        text = text.replace(letter, "\\" + letter)
    return text
