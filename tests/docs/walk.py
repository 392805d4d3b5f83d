"""The README from its first command to its last, as somebody types it who has a fresh clone and nothing else.

    python -m tests.docs.walk [--without COMMAND] [-o FOLDER]

Types every command that the README says to run here (and those of the demonstration's own set-up) into a shell in tmux
with an empty environment, waits for it, and writes how long each took and what the terminal showed.
"""

import argparse
import os
import platform
import re
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

from tests.docs.blocks import ROOT, Block, read_blocks
from tests.evidence.simulated import table

SESSION = "rfe-walk"
COLUMNS, ROWS = 124, 40
PATIENCE_S = 3600
KEPT = ("PATH", "LANG", "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "PIP_DEFAULT_TIMEOUT")
"""What reaches a stranger's shell: programs and the package index."""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]|\x1b\][^\x07]*\x07|\r")
SHOWN_LINES = 12


def commands(readme: Path) -> list[str]:
    """What is typed, in order."""
    found: list[str] = []
    for block in read_blocks(readme):
        if block.note.startswith("not run here") and not _prepares(block):
            continue
        found += [line for line in block.code.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return found


def _prepares(block: Block) -> bool:
    """Whether it sets up what the other commands need."""
    return block.code.startswith("make ") or "activate" in block.code


class Shell:
    """A shell in tmux in which nobody typed anything yet."""

    def __init__(self, folder: Path, log: Path) -> None:
        home = folder / "home"
        home.mkdir()
        kept = [f"{name}={os.environ[name]}" for name in KEPT if name in os.environ]
        shell = ["env", "-i", f"HOME={home}", "TERM=xterm-256color", *kept, "bash", "--norc", "--noprofile"]
        self._tmux = ("tmux", "-L", SESSION)
        self._log = log
        log.touch()
        size = ("-x", str(COLUMNS), "-y", str(ROWS))
        self._call("new-session", "-d", "-s", SESSION, *size, "-c", str(folder / "rfe"), shlex.join(shell))
        self._call("pipe-pane", "-t", SESSION, "-o", f"cat >> {shlex.quote(str(log))}")

    def _call(self, *words: str) -> None:
        subprocess.run([*self._tmux, *words], check=True)

    def type(self, command: str) -> tuple[int, float, str]:
        """Exit code, seconds and what was shown."""
        before = self._log.stat().st_size
        began = time.monotonic()
        self._call("send-keys", "-t", SESSION, "-l", f'{command}; echo "ended with $?"')
        self._call("send-keys", "-t", SESSION, "Enter")
        while True:
            time.sleep(0.2)
            shown = CONTROL.sub("", self._log.read_bytes()[before:].decode(errors="replace"))
            if ended := re.search(r"^ended with (\d+)$", shown, re.MULTILINE):
                return int(ended[1]), time.monotonic() - began, shown[: ended.start()].partition("\n")[2]
            assert time.monotonic() - began < PATIENCE_S, f"{command} does not end:\n{shown[-2000:]}"

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without", action="append", default=[], help="a command to leave out; repeatable")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "reports/evidence/readme_walk")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="walk-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "rfe")], check=True)
        shell = Shell(folder, folder / "terminal.log")
        rows, shown = [], []
        try:
            for command in commands(folder / "rfe/README.md"):
                if command in chosen.without:
                    continue
                code, seconds, text = shell.type(command)
                rows.append([f"`{command}`", f"{seconds:.0f}", str(code)])
                lines = [line for line in text.splitlines() if line.strip()]
                cut = [f"({len(lines) - SHOWN_LINES} lines before)"] if len(lines) > SHOWN_LINES else []
                shown.append("\n".join([f"$ {command}", *cut, *lines[-SHOWN_LINES:]]).replace(str(folder), "/home/me"))
                print(f"{seconds:6.1f} s  {code}  {command}", flush=True)
        finally:
            shell.close()
            chosen.output.mkdir(parents=True, exist_ok=True)
        report = [
            "# The README, typed from its first command to its last",
            "`python -m tests.docs.walk`",
            "A fresh clone and an empty environment; each command as the README has it, one after the other, in a "
            "shell in tmux. Left out: what the README says is not to be run here"
            + (f", and {', '.join(f'`{one}`' for one in chosen.without)}." if chosen.without else "."),
            table(["command", "seconds", "exit code"], rows),
            "What the terminal showed at the end of each:",
            "```text\n" + "\n\n".join(shown) + "\n```",
            f"{os.getloadavg()[2]:.1f} busy processes in the last quarter of an hour. {os.cpu_count()} CPUs "
            f"({platform.machine()}), Python {platform.python_version()}.",
        ]
        (chosen.output / "README.md").write_text("\n\n".join(report) + "\n")


if __name__ == "__main__":
    main()
