"""How a sound file is made a wrong one: bytes, words of a text, values of JSON."""

import json
from typing import Any

from hypothesis import strategies as st

NASTY_TEXT = (
    *("!!int x", "!!float ''", "!!timestamp x", "!!bool maybe", "!!binary '='", "!!python/object:os.system x"),
    *("*a", "&a [*a]", "{", "[", "]", "- ", ": ", "? [a]", "<<: 1", "\t", "\0", "\x85", "\ufeff", "|", ">"),
    *("1e999", ".nan", "-.inf", "~", "1e-3", "off", "9" * 5000, "2001-13-45", "1:60", "0x", "-1", "'", '"'),
)
NASTY_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 0.5, 10**30, 1e308, float("inf"), float("nan"), "", "x", "../x", "/x", "\0"),
    *([], {}, [[]], [None], {"a": []}, [1, "x"], "9" * 5000),
)
NASTY_NUMBERS = (b"\xff" * 8, b"\0" * 8, (2**40).to_bytes(8, "little"), (2**63).to_bytes(8, "little"), b"\x80\x04\x95.")


@st.composite
def damaged_bytes(draw: st.DrawFn, sound: bytes) -> bytes:
    """Some bytes flipped, cut out, put in, or the end lost."""
    raw = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        # headers are at the beginning, a zip's table at the end: as often as all the rest
        span = draw(st.sampled_from([(0, 300), (0, len(raw)), (max(0, len(raw) - 300), len(raw))]))
        at = min(draw(st.integers(*span)), max(0, len(raw) - 1))
        match draw(st.sampled_from(["flip", "cut", "insert", "number", "lose"])):
            case "flip" if raw:
                raw[at] ^= draw(st.integers(1, 255))
            case "cut":
                del raw[at : at + draw(st.integers(1, 64))]
            case "insert":
                raw[at:at] = draw(st.binary(min_size=1, max_size=16))
            case "number":
                raw[at : at + 8] = draw(st.sampled_from(NASTY_NUMBERS))
            case _:
                del raw[at:]
    return bytes(raw)


@st.composite
def damaged_text(draw: st.DrawFn, sound: bytes) -> bytes:
    """Words replaced by, or with, what parsers stumble over."""
    words = sound.decode().split(" ")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(words) - 1))
        nasty = draw(st.one_of(st.sampled_from(NASTY_TEXT), st.text(max_size=6)))
        words[at] = draw(st.sampled_from([nasty, f"{words[at]} {nasty}", f"{nasty}\n{words[at]}"]))
    return " ".join(words).encode("utf-8", "surrogatepass")


@st.composite
def damaged_json(draw: st.DrawFn, sound: bytes) -> bytes:
    """One value, at any depth of any line, replaced, or one entry left out."""
    try:
        json.loads(sound)
        lines = [sound]
    except ValueError:
        lines = sound.splitlines()
    number = draw(st.integers(0, len(lines) - 1))
    root: list[Any] = [json.loads(lines[number])]
    holder: Any = root
    key: Any = 0
    while isinstance(holder[key], dict | list) and holder[key] and draw(st.integers(0, 4)):
        holder = holder[key]
        key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    if holder is not root and not draw(st.integers(0, 3)):
        del holder[key]
    else:
        holder[key] = draw(st.sampled_from(NASTY_VALUES))
    lines[number] = json.dumps(root[0]).encode()
    return b"\n".join(lines) + b"\n"
