"""The program's tree of commands, and whether a typed line fits it."""

import shlex
from collections.abc import Iterator
from typing import Any

import typer

from rfe.cli.program import app

PROGRAM: Any = typer.main.get_command(app)


def list_commands(group: Any = PROGRAM, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something: its words after `rfe`, and the command."""
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from list_commands(one, (*prefix, name))
        else:
            yield (*prefix, name), one


def find_fault(line: str) -> str | None:
    """Why `line`, as typed, is no call of the program; None if it is one. Nothing is run."""
    words = shlex.split(line, comments=True)
    assert words[0] == "rfe"
    words, command = words[1:], PROGRAM
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    if {"--help", "--version", "--install-completion"} & set(words):  # they act while the line is parsed
        return None
    try:
        command.make_context("rfe", list(words))
    except Exception as error:  # of any click
        return getattr(error, "message", repr(error))
    return None
