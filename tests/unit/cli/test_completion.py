"""What a tab offers: asked as a shell asks, in a process of its own where it matters what is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rfe.cli.program import app
from tests.unit.cli.test_program import HEAVY


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two studies, the first with three trials of which one is confirmed; an ensemble; a data folder."""
    root = tmp_path / "workspace"
    for folder in ("first/trials/00000", "first/trials/00007/confirmed", "first/trials/00012", "second"):
        (root / "studies" / folder).mkdir(parents=True)
    (root / "ensembles" / "final").mkdir(parents=True)
    for name in ("wavlm_static_features.npz", "clip.npz"):
        (tmp_path / name).touch()
    (tmp_path / "mine.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RFE_WORKSPACE", str(root))
    return root


def offered(line: str) -> list[str]:
    """What is offered for the last word of `line`, which may be empty."""
    ended = CliRunner().invoke(app, [], env=asked(line), prog_name="rfe")
    return ended.stdout.split()


def asked(line: str) -> dict[str, str]:
    """How bash asks."""
    return {"_RFE_COMPLETE": "complete_bash", "COMP_WORDS": f"rfe {line}", "COMP_CWORD": str(len(line.split(" ")))}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("studies show ", ["first", "second"]),
        ("studies show se", ["second"]),
        ("search everything --warm-start f", ["first"]),
        ("export ", ["first", "second", "final"]),
        ("export first --trial ", ["0", "7", "12"]),
        ("train --from first --study new --trial 1", ["12"]),
        ("studies diff first 7", ["7", "7:confirmed"]),
        ("baselines --data . --encoder ", ["clip", "wavlm"]),
        ("baselines --encoder ", []),
        ("search e", ["encoder_pool", "everything"]),
        ("search m", ["mine.yaml"]),
        (
            "train b",
            [
                f"baselines/{name}"
                for name in (
                    "concat_mlp",
                    "early_fusion",
                    "gated_kernel",
                    "kernel_ridge",
                    "mean_fusion",
                    "single_encoder",
                )
            ],
        ),
        ("ablate com", ["components"]),
        (
            "search everything --set train.lr",
            ["train.lr=", *(f"train.lr_scaling={how}" for how in ("none", "sqrt", "linear"))],
        ),
        ("search everything -s train.average=", ["train.average=none", "train.average=ema"]),
        ("schema ", ["config", "space", "plan", "job", "mapping", "task"]),
        ("studies sho", ["show"]),
    ],
)
def test_names_are_offered(workspace: Path, line: str, names: list[str]) -> None:
    assert offered(line) == names


def test_another_workspace_is_looked_at_where_it_is_named(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / "studies" / "third").mkdir(parents=True)
    assert offered(f"studies show --workspace {tmp_path / 'other'} ") == ["third"]
    assert offered(f"studies show --workspace {tmp_path / 'mine.yaml'} ") == []


@pytest.mark.parametrize(
    "line", ["studies show ", "search e", "search everything --set train.l", "export first --trial "]
)
def test_nothing_heavy_is_loaded(workspace: Path, line: str) -> None:
    code = "import sys\nfrom rfe.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    # the program's name decides the variable's
    command = [sys.executable, "-c", f"import sys; sys.argv[0] = 'rfe'\n{code}"]
    ended = subprocess.run(command, env={**os.environ, **asked(line)}, capture_output=True, text=True, check=False)
    assert ended.stdout.split(), ended.stderr[-2000:]
    assert not HEAVY & set(ended.stderr.split())
