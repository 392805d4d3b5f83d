"""HTTP with patience: what may pass is tried again with growing waits, what will not is said in a sentence."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from rfe.errors import DataError
from rfe.progress import Progress
from rfe.secrets import redact_uri

_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Answers that another time may be better."""
_OURS = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema)

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server, and how often to ask it again."""

    connect_s: float = 15.0
    stall_s: float = 60.0
    """A server that sends nothing for so long has stalled."""
    attempts: int = 6
    """In a row without progress."""
    first_wait_s: float = 1.0
    """Before the second attempt; doubled before each further one."""
    longest_wait_s: float = 60.0
    """Also where a server asks for more."""


class PassingError(Exception):
    """What may pass: a sentence without the server's name, and how long the server asks to be left alone."""

    def __init__(self, sentence: str, wait_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.wait_s = wait_s


@dataclass
class Connection:
    """To the servers of one record."""

    patience: Patience
    progress: Progress
    session: requests.Session = field(default_factory=requests.Session)

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[requests.Response]:
        """The answer to a GET, its body not yet read.

        Raises:
            PassingError: also of reading the body within the block.
            DataError: the address is none, or its certificate is not to be trusted.
        """
        # identity: sizes and ranges are then those of the file
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        timeout = (self.patience.connect_s, self.patience.stall_s)
        try:
            with self.session.get(url, headers=sent, stream=True, timeout=timeout) as response:
                if response.status_code in _PASSING:
                    raise PassingError(f"answers {response.status_code} {response.reason}", _retry_after(response))
                yield response
        except _OURS as error:
            raise DataError(f"{redact_uri(url)}: is no address to fetch from ({error})") from None
        except requests.exceptions.TooManyRedirects:
            raise DataError(f"{redact_uri(url)}: leads in a circle; check the address") from None
        except requests.exceptions.SSLError as error:
            raise DataError(
                f"{redact_uri(url)}: cannot be trusted ({error}); check the address and the clock"
            ) from None
        except requests.exceptions.ConnectTimeout:
            raise PassingError(f"cannot be reached within {self.patience.connect_s:g} s") from None
        except (requests.exceptions.RequestException, HTTPError) as error:
            if isinstance(error, requests.exceptions.Timeout) or _is_stall(error):
                raise PassingError(f"sent nothing for {self.patience.stall_s:g} s") from None
            broke = isinstance(error, requests.exceptions.ChunkedEncodingError | HTTPError)
            raise PassingError("broke off" if broke else f"cannot be reached ({_innermost(error)})") from None

    def retry(self, url: str, ask: Callable[[], T], progressed: Callable[[], bool] = lambda: False) -> T:
        """What `ask` returns, asked again with growing waits while it raises PassingError.

        Args:
            url: named in sentences.
            progressed: whether a failed attempt brought something, so that waits begin again with the shortest.

        Raises:
            DataError: it failed as often in a row as the patience goes.
        """
        patience, where, failed = self.patience, redact_uri(url), 0
        while True:
            try:
                return ask()
            except PassingError as trouble:
                failed = 1 if progressed() else failed + 1
                if failed >= patience.attempts:
                    raise DataError(
                        f"{where}: {trouble} (tried {failed} times); the same command later goes on from here"
                    ) from None
                wait_s = max(patience.first_wait_s * 2 ** (failed - 1), trouble.wait_s)
                wait_s = min(wait_s, patience.longest_wait_s)
                self.progress.note(f"{where}: {trouble}; trying again in {wait_s:.3g} s")
            time.sleep(wait_s)


def _retry_after(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0


def _is_stall(error: Exception) -> bool:
    return any(isinstance(one, ReadTimeoutError) for one in (error, *error.args))


def _innermost(error: BaseException) -> str:
    """The operating system's word, out of the errors that wrap it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return getattr(error, "strerror", None) or str(error)
