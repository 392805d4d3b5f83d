"""Notification settings: `notify:` of a search space, or of a workspace's settings."""

import re
import shlex
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from rfe.config.schema import Section
from rfe.secrets import find_secret

Event = Literal["end", "failure", "stall", "best"]
EVENTS: tuple[Event, ...] = ("end", "failure", "stall", "best")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def _a_variable(name: str) -> str:
    # the value is not shown: it may be an address with a token
    if not VARIABLE.fullmatch(name):
        raise ValueError(
            "give the name of an environment variable that holds the address, e.g. RFE_NOTIFY_URL: addresses carry "
            "tokens, and the space is kept with the study and in MLflow"
        )
    return name


def _as_words(given: Any) -> Any:
    return shlex.split(given) if isinstance(given, str) else given


def _as_list(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


def _without_secret(word: str) -> str:
    if kind := find_secret(word):
        raise ValueError(
            f"holds {kind}, and the space is kept with the study and in MLflow; have the command read an environment "
            "variable, e.g. [sh, -c, 'curl -d @- \"$HOOK\"']"
        )
    if "\0" in word:
        raise ValueError("holds a NUL character; take it out")
    return word


class Notify(Section):
    """Messages when a study ends, fails, stalls, or finds a better best trial. A failed message does not stop the
    search."""

    command: Annotated[
        Annotated[list[Annotated[str, AfterValidator(_without_secret)]], Field(min_length=1)] | None,
        BeforeValidator(_as_words),
    ] = None
    """A program and its arguments, without a shell. It reads the message from its standard input; RFE_TITLE, RFE_EVENT
    and RFE_STUDY are in its environment. E.g. [mail, -s, rfe, me@example.org]."""
    apprise: Annotated[
        Annotated[list[Annotated[str, AfterValidator(_a_variable)]], Field(min_length=1)] | None,
        BeforeValidator(_as_list),
    ] = None
    """Names of environment variables that hold addresses of Apprise (mailto://, slack://, tgram:// ...); needs
    `pip install 'rfe[notify]'`."""
    events: Annotated[list[Event], Field(min_length=1)] = Field(default_factory=lambda: list(EVENTS))
    """`end`: finished or stopped. `failure`: ended by an error. `stall`: no trial ended for ten times the usual.
    `best`: a better best trial than before."""
    best_minutes: Annotated[float, Field(ge=0)] = 10.0
    """Better trials are told of at most once in so many minutes, the last of them."""
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 20.0
    """A message that takes longer is given up."""

    @model_validator(mode="after")
    def _some_way(self) -> "Notify":
        if self.command is None and self.apprise is None:
            raise ValueError("say how: command: [PROGRAM, ...], or apprise: [NAME of an environment variable]")
        return self
