"""LaTeX tables: every special letter is escaped, and the table is whole."""

import re

import pytest

from rfe.reporting.report.document import Column, Table
from rfe.reporting.report.latex import escape, table_latex


@pytest.mark.parametrize(
    ("text", "typeset"),
    [
        ("train.weight_decay", r"train.weight\_decay"),
        ("50% & more", r"50\% \& more"),
        ("a#b$c", r"a\#b\$c"),
        ("{x}^2~\\", r"\{x\}\textasciicircum{}2\textasciitilde{}\textbackslash{}"),
        ("a < b | c", r"a \textless{} b \textbar{} c"),
    ],
)
def test_special_letters_are_escaped(text: str, typeset: str) -> None:
    assert escape(text) == typeset


def test_a_table_is_whole_and_nothing_in_it_is_special() -> None:
    table = Table(
        "my_table",
        "50% of a_b",
        (Column("field_1"), Column("difference", signed=True), Column("a & b")),
        (("[x_y]", -0.01234, True), ("*", None, False), ("%", 0.5, None)),
        "note #1",
    )
    text = table_latex(table)
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert body.count(r"\begin{") == body.count(r"\end{") == 2
    assert [body.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [2] * 4
    assert not re.findall(r"(?<!\\)[%#]", body)
    assert not re.findall(r"(?<!\\)_", body.replace("my_table", ""))
    assert "$-$0.012" in rows[1]
    assert rows[1].strip().startswith(r"{[x\_y]}")
    assert r"\begin{tabular}{lrl}" in body
