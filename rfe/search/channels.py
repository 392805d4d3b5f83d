"""Channels that send notifications: a program, or Apprise. Messages contain no secrets."""

import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from rfe.errors import ConfigError
from rfe.search_space.notify import Notify
from rfe.threads import BackgroundThread


@dataclass(frozen=True)
class Message:
    """A notification."""

    event: str
    study: str
    title: str
    text: str


class Channel(Protocol):
    """A way to send notifications."""

    @property
    def name(self) -> str:
        """What it is in messages about it, without secrets."""

    def send(self, message: Message, timeout_s: float) -> str:
        """Send; returns "" or why it failed, without secrets. Ends after about `timeout_s` at the latest."""


@dataclass(frozen=True)
class CommandChannel:
    """Runs a program with the message as its standard input."""

    command: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"command {self.command[0]}"

    def send(self, message: Message, timeout_s: float) -> str:
        told = {"RFE_EVENT": message.event, "RFE_STUDY": message.study, "RFE_TITLE": message.title}
        try:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # it may print the secrets it knows
                stderr=subprocess.DEVNULL,
                env={**os.environ, **told},
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        try:
            process.communicate(message.text.encode(), timeout=timeout_s)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)  # what it started as well
            process.wait()
            return f"took longer than {timeout_s:g} s"
        return f"ended with exit code {process.returncode}" if process.returncode else ""


@dataclass(frozen=True)
class AppriseChannel:
    """Sends messages through a service that Apprise supports."""

    variable: str
    """The environment variable that holds the address."""
    service: Any
    """An `apprise.Apprise` with the address."""

    @property
    def name(self) -> str:
        return f"apprise address in {self.variable}"

    def send(self, message: Message, timeout_s: float) -> str:
        outcome: list[str] = []

        def tell() -> None:
            try:
                took_it = self.service.notify(body=message.text, title=message.title)
                outcome.append("" if took_it else "the service did not take the message")
            except Exception as error:  # of any service's library
                outcome.append(type(error).__name__)  # its text may hold the address

        thread = BackgroundThread(target=tell, name="apprise")
        thread.start()
        thread.join(timeout_s)
        return outcome[0] if outcome else f"took longer than {timeout_s:g} s"


def open_channels(notify: Notify, environment: Mapping[str, str] = os.environ) -> list[Channel]:
    """The channels of a `notify:` section.

    Raises:
        ConfigError: the program is not there, Apprise is not installed, a variable is not set, or holds no address of
            Apprise.
    """
    channels: list[Channel] = []
    if notify.command is not None:
        if shutil.which(notify.command[0]) is None:
            raise ConfigError(
                f"notify.command: there is no program {notify.command[0]!r} here; install it, or name it by its path"
            )
        channels.append(CommandChannel(tuple(notify.command)))
    for variable in notify.apprise or ():
        channels.append(_open_apprise(variable, environment))
    return channels


def _open_apprise(variable: str, environment: Mapping[str, str]) -> AppriseChannel:
    try:
        import apprise
    except ModuleNotFoundError:
        raise ConfigError("notify.apprise: needs Apprise; pip install 'rfe[notify]', or use notify.command") from None
    address = environment.get(variable, "")
    if not address:
        raise ConfigError(
            f"notify.apprise: the environment variable {variable} is not set; set it to an address of Apprise, or "
            "leave it out"
        )
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it logs addresses
    service = apprise.Apprise()
    if not service.add(address):
        raise ConfigError(f"notify.apprise: Apprise does not know the address in {variable}; see its documentation")
    return AppriseChannel(variable, service)
