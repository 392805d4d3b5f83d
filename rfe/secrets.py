"""Whether text holds a password or a token, and text without them; the secrets that a job was given."""

import os
import re
from urllib.parse import unquote, urlsplit, urlunsplit

_USER = re.compile(r"://[^/\s]*@")
SECRET_NAME = re.compile(r"(^|_)(PASSWORD|PASSWD|SECRET|TOKEN|ACCESS_KEY|API_KEY|CREDENTIALS?)($|_KEY$)", re.IGNORECASE)
"""Names of environment variables that people keep secrets in."""
FEWEST_LETTERS = 6
"""A shorter value of such a variable cannot be told from a word."""
SECRET_NAMES = "RFE_SECRETS"
"""Environment variable of the job's driver: which of its variables are secrets, for its workers."""
_WORDS = r"(?:password|passwd|secret|api_?key|access_?key|auth_?token|access_?token|client_?secret)"
_PATTERNS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an address with a password": re.compile(
        r"\b[a-z][a-z0-9+.-]*://[^/\s:@'\"{}$<>]*:[^/\s@'\"{}$<>]+@", re.IGNORECASE
    ),
    "a token": re.compile(
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{20,}|sk-[\w-]{20,}"
        r"|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{5,})"
    ),
    "a webhook's address": re.compile(r"https://(?:hooks\.slack\.com/|discord(?:app)?\.com/api/webhooks/)[\w/-]+"),
    "a password": re.compile(_WORDS + r"['\"]?\s*[:=]\s*['\"][^'\"\s{}$<>]{6,}['\"]", re.IGNORECASE),
}


def environment_secrets() -> list[str]:
    """Values of this process's variables that are named as secrets are, the longest first."""
    values = {value for name, value in os.environ.items() if SECRET_NAME.search(name) and len(value) >= FEWEST_LETTERS}
    return sorted(values, key=len, reverse=True)


def find_secret(text: str) -> str:
    """What kind of secret `text` seems to hold, e.g. `a private key`; "" if none is seen.

    It looks for forms that rarely occur by chance, and the values of this process's own secrets: a
    random text without either is not recognised.
    """
    if any(secret in text for secret in environment_secrets()):
        return "the value of a secret environment variable"
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(text)), "")


def hide_secrets(text: str) -> str:
    """`text` with `***` for what `find_secret` would find, and for users of addresses."""
    for secret in environment_secrets():
        text = text.replace(secret, "***")
    for pattern in _PATTERNS.values():
        text = pattern.sub("***", text)
    return redact_text(text)


def redact_uri(uri: str) -> str:
    """`uri` without the user, password and query it may carry: fit for messages, tags and files."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # no URI at all, e.g. with half of an IPv6 address's brackets
        return _USER.sub("://***@", uri)
    if not parts.netloc and not parts.query:
        return uri
    host = parts.netloc.rsplit("@", 1)[-1]
    netloc = f"***@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, netloc, parts.path, "***" if parts.query else "", ""))


def redact_text(text: str, *uris: str) -> str:
    """`text` without what `redact_uri` takes out of `uris`, and without user and password of any address in it."""
    for uri in uris:
        text = text.replace(uri, redact_uri(uri))
        for secret in _secrets_of(uri):  # libraries take addresses apart
            text = text.replace(secret, "***")
    return _USER.sub("://***@", text)


def _secrets_of(uri: str) -> list[str]:
    """What may be secret in a URI, as it stands there and decoded; not what is too short to be told from words."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return []
    user = parts.username if parts.scheme in ("http", "https") and parts.password is None else None
    found = [one for one in (parts.password, user, parts.query) if one]
    return [one for one in (*found, *map(unquote, found)) if len(one) > 3]


def carries_secret(uri: str) -> bool:
    """Whether a URI has a password in it, or what may be one: a web address's user or query."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return parts.password is not None or (
        parts.scheme in ("http", "https") and bool(parts.username is not None or parts.query)
    )


def read_secrets() -> dict[str, str]:
    """The secrets of the job that this process drives; none outside of a job."""
    return {name: os.environ[name] for name in os.environ.get(SECRET_NAMES, "").split() if name in os.environ}
