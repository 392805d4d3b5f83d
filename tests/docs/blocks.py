"""The code blocks of a Markdown file, and what the comment before each says of it."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Block:
    """A fenced block of commands."""

    line: int
    """Of the file, from 1."""
    code: str
    note: str
    """The HTML comment right before it: "", `slow`, `run on a stopped study`, or `not run here` with the reason."""

    @property
    def commands(self) -> list[str]:
        """Its lines that call the program."""
        return [line for line in self.code.splitlines() if line.startswith("rfe ")]


def read_blocks(path: Path, language: str = "sh") -> list[Block]:
    """All blocks of a file in one language, in order."""
    blocks: list[Block] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    start: int | None = None
    for index, line in enumerate(lines):
        if start is None and line == f"```{language}":
            start = index
        elif start is not None and line == "```":
            before = lines[start - 1].strip()
            note = before.removeprefix("<!--").removesuffix("-->").strip() if before.startswith("<!--") else ""
            blocks.append(Block(start + 2, "\n".join(lines[start + 1 : index]), note))
            start = None
    return blocks


def run_python(blocks: list[Block], name: str) -> None:
    """Run blocks one after another, as one program in the current folder; a fault names its block's line."""
    scope: dict[str, object] = {"__name__": "__main__"}
    for block in blocks:
        # the block's own line numbers, in tracebacks as in the file
        exec(compile("\n" * (block.line - 1) + block.code, name, "exec"), scope)
