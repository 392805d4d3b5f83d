"""The code version that produced a result."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("rfe", "torch", "numpy", "ray", "optuna", "mlflow", "scikit-learn", "scipy")


def git_commit() -> str:
    """The commit of the checkout this package runs from, with `+changes` if files differ; "" if it is not one."""
    folder = Path(__file__).resolve().parents[1]
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        # installed below some other project's checkout, that project's commit would say nothing
        if not _git(folder, "ls-files", "errors.py"):
            return ""
        return commit + ("+changes" if _git(folder, "status", "--porcelain", "--untracked-files=no", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def versions() -> dict[str, str]:
    """Installed versions of the packages a result may depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
