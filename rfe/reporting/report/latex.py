"""A table as LaTeX with booktabs."""

from typing import Any

from rfe.reporting.report.document import Table, say

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\n": " ",
    "±": r"$\pm$",
    "×": r"$\times$",
    "…": r"\dots{}",
    "–": "--",
    "—": "---",
    "−": "$-$",
    "→": r"$\to$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
}


def escape(text: str) -> str:
    """`text` as LaTeX typesets it literally (T1 font encoding)."""
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


def table_latex(table: Table) -> str:
    """A `table` environment; needs `\\usepackage{booktabs}` and `\\usepackage[T1]{fontenc}`."""
    numeric = table.numeric
    lines = [
        "% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape(' '.join(part for part in (_sentence(table.title), table.note) if part))}}}",
        rf"  \label{{tab:{table.name}}}",
        rf"  \begin{{tabular}}{{{''.join('r' if one else 'l' for one in numeric)}}}",
        r"    \toprule",
        f"    {' & '.join(escape(column.title) for column in table.columns)} \\\\",
        r"    \midrule",
        *(f"    {_row(table, row)} \\\\" for row in table.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(table: Table, row: tuple[Any, ...]) -> str:
    cells = []
    for value, column in zip(row, table.columns, strict=True):
        text = escape(say(value, column))
        # a hyphen is no minus, and a row that begins with [ would be read as an argument of the line before
        if isinstance(value, int | float) and text.startswith("-"):
            text = f"$-${text[1:]}"
        cells.append("{" + text + "}" if text.startswith(("[", "*")) else text)
    return " & ".join(cells)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
