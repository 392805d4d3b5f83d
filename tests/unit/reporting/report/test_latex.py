"""LaTeX tables: every special letter is escaped, and the table is whole."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rfe.progress import SilentProgress
from rfe.reporting.report.build import build_report
from rfe.reporting.report.document import Column, Table, say
from rfe.reporting.report.latex import escape, table_latex
from tests.unit.reporting.report.studies import make_workspace

TEX = shutil.which("tectonic") or shutil.which("pdflatex")


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


def test_what_rounds_to_zero_has_no_minus() -> None:
    assert say(-0.0004, Column("", signed=True)) == "+0.000"
    assert say(-0.0004, Column("")) == "0.000"
    assert say(-0.0006, Column("", signed=True)) == "-0.001"


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


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Table, ...]:
    workspace, _ = make_workspace(tmp_path_factory.mktemp("latex"), n_trials=4)
    return build_report(["first"], workspace, None, SilentProgress())[0].tables


def test_every_table_of_a_report_is_well_formed(tables: tuple[Table, ...]) -> None:
    assert len(tables) > 10
    for table in tables:
        body = [line.strip() for line in table_latex(table).splitlines() if not line.startswith("%")]
        open_ones: list[str] = []
        for line in body:
            for command, environment in re.findall(r"\\(begin|end)\{(\w+)\}", line):
                if command == "begin":
                    open_ones.append(environment)
                else:
                    assert open_ones.pop() == environment
        assert open_ones == [], table.name
        columns = next(re.findall(r"\{tabular\}\{([lr]+)\}", line)[0] for line in body if "{tabular}" in line)
        assert len(columns) == len(table.columns)
        rows = [line for line in body if line.endswith(r"\\")]
        assert len(rows) == 1 + len(table.rows)
        for line in [row.removesuffix(r"\\") for row in rows] + [line for line in body if line.startswith(r"\caption")]:
            typeset = re.sub(r"\\text\w+\{\}|\\dots\{\}|\\[&%$#_{}]|\$\\?[a-z-]+\$", "", line)
            assert not re.findall(r"[%#$_^~<>|\"]", typeset), line
            assert typeset.count("{") == typeset.count("}"), line
            assert typeset.count("&") == (0 if r"\caption" in line else len(columns) - 1), line
            assert "\\" not in typeset.replace(r"\caption", ""), line


@pytest.mark.skipif(TEX is None, reason="neither tectonic nor pdflatex is installed")
def test_tex_sets_every_table(tables: tuple[Table, ...], tmp_path: Path) -> None:
    assert TEX is not None
    head = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}\begin{document}"
    body = "\\clearpage\n".join(table_latex(table) for table in tables)
    (tmp_path / "all.tex").write_text(head + "\n" + body + r"\end{document}")
    options = [] if TEX.endswith("tectonic") else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([TEX, *options, "all.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
