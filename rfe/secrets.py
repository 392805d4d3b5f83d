"""Whether text holds a password or a token, and text without them."""

import os
import re

from rfe.workspace import redact_text

SECRET_NAME = re.compile(r"(^|_)(PASSWORD|PASSWD|SECRET|TOKEN|ACCESS_KEY|API_KEY|CREDENTIALS?)($|_KEY$)", re.IGNORECASE)
"""Names of environment variables that people keep secrets in."""
FEWEST_LETTERS = 6
"""A shorter value of such a variable cannot be told from a word."""
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

    What is sought are forms that are secrets hardly ever by chance, and the values of this process's own secrets: a
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
