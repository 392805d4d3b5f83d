"""Names of parameters, metrics and tags as MLflow takes them: Unicode letters stay, no two names become one.

MLflow takes letters and digits of any script, `_ - . : /` and blanks, at most 250 characters, and no name that reads as
another path (`a//b`, `../a`). Databases may compare names without case or trailing blanks, so such pairs are numbered
too. Source: `mlflow.utils.validation`.
"""

import posixpath
import re
import unicodedata
from collections.abc import Iterable

LONGEST_NAME = 250
"""Characters of a name; servers refuse longer ones."""
LONGEST_ENCODER = 200
"""Characters of an encoder's name within a name: the rest is for what stands before it and for a number."""
ENCODER_PREFIXES = ("kept.", "pool.", "data.standardize.")
"""Before an encoder's name in names of metrics and parameters."""
_FORBIDDEN = re.compile(r"[^\w\-. :/]")


def legal_name(name: str) -> str:
    """`name` with what servers refuse replaced by underscores; two names can become one, which `Names` prevents."""
    text = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", name))[:LONGEST_NAME].strip() or "_"
    if posixpath.normpath(text) != text or text.startswith((".", "/")):
        text = text.replace("/", "_")
        text = re.sub(r"^\.+", lambda dots: "_" * len(dots[0]), text)
    return text


class Names:
    """The legal names of one study, the same in every process that shows it.

    An encoder is called alike wherever its name occurs. What would collide is numbered: names that are legal as they
    are keep theirs, the others come in sorted order. A name that is not among `encoders` is numbered as it comes, which
    is the journal's order.

    Examples:
        >>> names = Names(["clip+336", "clip@336", "声音"])
        >>> [names.of(f"kept.{encoder}") for encoder in ("clip+336", "clip@336", "声音")]
        ['kept.clip_336', 'kept.clip_336_2', 'kept.声音']
    """

    def __init__(self, encoders: Iterable[str] = ()) -> None:
        self._labels: dict[tuple[bool, str], str] = {}
        self._taken: set[tuple[bool, str]] = set()
        for name in sorted(encoders, key=lambda name: (legal_name(name) != name, name)):
            self._label(name, is_encoder=True)

    def of(self, name: str) -> str:
        """The legal name of a metric or parameter, given by its dotted name."""
        for prefix in ENCODER_PREFIXES:
            if name.startswith(prefix) and name != prefix:
                return prefix + self._label(name.removeprefix(prefix), is_encoder=True)
        return self._label(name, is_encoder=False)

    def _label(self, name: str, *, is_encoder: bool) -> str:
        known = self._labels.get((is_encoder, name))
        if known is not None:
            return known
        plain = legal_name(name)[: LONGEST_ENCODER if is_encoder else LONGEST_NAME - len("_99999")].rstrip(" /") or "_"
        label, number = plain, 1
        while (is_encoder, label.casefold()) in self._taken:
            number += 1
            label = f"{plain}_{number}"
        self._taken.add((is_encoder, label.casefold()))
        self._labels[is_encoder, name] = label
        return label
