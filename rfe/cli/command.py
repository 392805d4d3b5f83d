"""What all commands share: their common options, and how they end.

Exit codes: 0 fine; 2 the user's input; 1 ours, or a search in which no trial finished; 130 interrupted.
"""

import errno
import inspect
import os
import select
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from rfe.errors import RfeError
from rfe.extras import explain_missing
from rfe.progress import Progress, open_progress
from rfe.resources import limit_threads
from rfe.scratch import provide_home
from rfe.secrets import redact_text
from rfe.workspace import Workspace, open_workspace

INTERRUPTED = 130
_NOT_OURS = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "check its permissions, or choose another folder"),
    **dict.fromkeys((errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR), "choose another folder"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room there, or choose another folder; what was whole is kept"),
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""Errors of the operating system that are about the user's disk, not about this program; what to do about each."""


@dataclass(frozen=True)
class Settings:
    """The common options of a command, as given."""

    workspace_path: Path | None
    quiet: bool
    verbose: bool

    def workspace(self) -> Workspace:
        """The workspace asked for, else that of RFE_WORKSPACE, else ./rfe-workspace."""
        return open_workspace(self.workspace_path)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Progress that is closed when the block ends, however it ends."""
        progress = open_progress(quiet=self.quiet)
        try:
            yield progress
        finally:
            progress.close()


def _option(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_COMMON = [
    _option(
        "workspace",
        None,
        Annotated[
            Path | None,
            typer.Option(
                "--workspace",
                metavar="DIR",
                show_default=False,
                rich_help_panel="Common",
                help="Where studies, runs and the cache are kept: RFE_WORKSPACE, else ./rfe-workspace.",
            ),
        ],
    ),
    _option(
        "quiet",
        False,
        Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel="Common", help="No progress, only the result.")],
    ),
    _option(
        "verbose",
        False,
        Annotated[
            bool, typer.Option("--verbose", "-v", rich_help_panel="Common", help="Show tracebacks of internal errors.")
        ],
    ),
]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the common options, and every way it can fail one sentence and an exit code.

    `function` takes `Settings` first, then its own arguments by name.
    """
    signature = inspect.signature(function)
    parameters = [*list(signature.parameters.values())[1:], *_COMMON]

    @wraps(function)
    def run(*, workspace: Path | None, quiet: bool, verbose: bool, **arguments: Any) -> None:
        with _failures(verbose), _ended_in_order():
            provide_home()
            limit_threads()
            function(Settings(workspace, quiet, verbose), **arguments)

    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    )
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


@contextmanager
def _failures(verbose: bool) -> Iterator[None]:
    try:
        yield
    except typer.Exit:
        raise
    except RfeError as error:
        raise _end(str(error), error.exit_code) from None
    except (KeyboardInterrupt, typer.Abort):  # the latter at a question
        raise _end("interrupted", INTERRUPTED) from None
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (sentence := explain_missing(error)) is not None:
            raise _end(sentence, 2) from None
        if isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.EIO) and _output_has_ended():
            raise typer.Exit(0) from None
        if isinstance(error, OSError) and error.errno in _NOT_OURS:
            raise _end(f"{error.filename or 'a file'}: {error.strerror}; {_NOT_OURS[error.errno]}", 2) from None
        if verbose:
            raise
        raise _end(_unexpected(error), 1) from None


def _output_has_ended() -> bool:
    """Whether the output can no longer be written: a closed terminal, or a pipe whose reader ended (`| head`).

    If so the output goes nowhere from then on, with what is still in buffers, which Python writes when it ends.
    """
    outputs = select.poll()
    for number in (1, 2):
        outputs.register(number, 0)
    ended = [number for number, events in outputs.poll(0) if events & (select.POLLERR | select.POLLHUP)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in ended:
        os.dup2(nowhere, number)
    os.close(nowhere)
    return bool(ended)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end a command as Ctrl-C does: it cleans up, and says so.

    A signal that is ignored stays so, as SIGHUP with `nohup`.
    """
    former = {}
    if threading.current_thread() is threading.main_thread():
        former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in former.items():
        if handler is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in former.items():
            if handler is signal.SIG_DFL:
                signal.signal(number, handler)


def _end(sentence: str, code: int) -> typer.Exit:
    # click's own colours know nothing of NO_COLOR
    Console(stderr=True, highlight=False).print(Text.assemble(("error: ", "bold red"), sentence), soft_wrap=True)
    return typer.Exit(code)


def _unexpected(error: Exception) -> str:
    """A short message on an internal error, and where its traceback is."""
    kind = redact_text(f"{type(error).__name__}: {error}".splitlines()[0])
    try:
        with tempfile.NamedTemporaryFile("w", prefix="rfe-fault-", suffix=".log", delete=False) as file:
            file.write(redact_text("".join(traceback.format_exception(error))))
    except OSError:
        return f"internal error, please report ({kind}); the same command with --verbose shows its traceback"
    return f"internal error, please report ({kind}); its traceback is in {file.name}"
