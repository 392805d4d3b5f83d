"""What YAML 1.1 reads differently from what was meant, answered with a value that it reads as meant."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from rfe.config.invisible import invisible_characters

NUMBER_LIKE = re.compile(
    r"[-+]?(?:(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?|0[xX][\da-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+)"
)
"""Numbers as JSON, YAML 1.2 and Python write them; YAML 1.1 reads `1e-3`, `-.5`, `08` and `0o17` among them as text."""
EXPONENT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+")
_PLAIN_WHOLE = re.compile(r"[-+]?(?:0|[1-9]\d*)")
_OCTAL = re.compile(r"[-+]?0[\d_]+")


@dataclass(frozen=True)
class Trap:
    """One thing to be written differently."""

    sentence: str
    line: int | None = None
    """From 1; None where the sentence says it."""
    field: str = ""
    """Dotted name of the field whose value it is; "" where it is no value."""

    def __str__(self) -> str:
        if self.line is None:
            return self.sentence
        return (
            f"{self.field}: {self.sentence} (line {self.line})" if self.field else f"line {self.line}: {self.sentence}"
        )


def find_traps(node: yaml.Node, field: str = "") -> list[Trap]:
    """Every field given twice, name that is no text, and misread value below `node`, whose dotted name is `field`."""
    return list(_walk(node, field, set()))


def find_tags(text: str) -> list[Trap]:
    """Tags (`!!int`), which change what a quoted value is."""
    tokens = yaml.scan(text, yaml.SafeLoader) if "!" in text else ()
    return [
        Trap(f"the tag {handle or ''}{suffix} has no meaning here; leave the tag out", token.start_mark.line + 1)
        for token in tokens
        if isinstance(token, yaml.TagToken)
        for handle, suffix in [token.value]
    ]


def read_number(text: str) -> int | float:
    """The number that a text which fits `NUMBER_LIKE` means to its reader; whole numbers are `int`."""
    digits = text.replace("_", "")
    if re.match(r"[-+]?0[xXoObB]", digits):
        return int(digits, 0)
    if "." not in digits and "e" not in digits.lower():
        return int(digits)
    number = float(digits)
    # 1e3 is meant as 1000 in a field of whole numbers, and other fields take an int as well
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _walk(node: yaml.Node, field: str, seen: set[int]) -> Iterator[Trap]:
    if id(node) in seen:  # an alias; also ends the recursion of one that contains itself
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        if sentence := _misread(node):
            yield Trap(sentence, node.start_mark.line + 1, field)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _walk(item, field, seen)
    elif isinstance(node, yaml.MappingNode):
        names: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            inner = f"{field}.{name}" if field else name
            line = key.start_mark.line + 1
            if name in names and isinstance(key, yaml.ScalarNode):
                where = f"in line {line}" if line == names[name] else f"in lines {names[name]} and {line}"
                yield Trap(f"{inner} is given twice, {where}; leave one of the two out")
            elif problem := _name_problem(key, name):
                yield Trap(problem, line)
            names.setdefault(name, line)
            yield from _walk(value, inner, seen)


def _name_problem(key: yaml.Node, name: str) -> str | None:
    """Why a field's name is not plain text."""
    if not isinstance(key, yaml.ScalarNode):
        return "a field's name must be plain text"
    kind = key.tag.rpartition(":")[2]
    if kind == "merge":
        return "YAML's merge key << is not read; write its fields out, or repeat a whole map by `field: *alias`"
    if kind == "null" and not name:
        return "a field has no name before its colon"
    if kind == "bool":
        return f"YAML reads the bare word {name} as a boolean; as a field's name write '{name}'"
    if kind != "str":
        return f"the field name {name} is not text to YAML; write '{name}'"
    if found := invisible_characters(name):
        return f"the field name {name!r} holds an invisible character ({found}); type it again, with plain blanks"
    return None


def _misread(node: yaml.ScalarNode) -> str | None:
    """A sentence on a value that YAML reads differently from how it looks."""
    text, kind = str(node.value), node.tag.rpartition(":")[2]
    if any("\ud800" <= one <= "\udfff" for one in text):
        return f"{text!r} holds half a character; write the character itself instead of its \\u numbers"
    if node.style is not None:  # quoted, so meant as it stands
        return None
    if kind == "bool" and text.lower() not in ("true", "false"):
        return f"YAML reads the bare word {text} as a boolean; write '{text}' for the word, or true or false"
    if kind == "timestamp":
        return f"YAML reads {text} as a date; write '{text}'"
    if kind in ("merge", "value"):
        return f"a bare {text} is a sign of YAML's own; write '{text}'"
    if kind in ("int", "float"):
        return _misread_number(text)
    if kind == "str" and NUMBER_LIKE.fullmatch(text):
        return f"YAML reads {text} as text, not as a number; {_both(text)}"
    if found := invisible_characters(text):
        return f"{text!r} holds an invisible character ({found}); type it again, or quote it if it is meant"
    return None


def _misread_number(text: str) -> str | None:
    if text.lower().lstrip("+-") in (".inf", ".nan"):
        return None
    if ":" in text:  # sexagesimal
        number = write_number(yaml.safe_load(text))
        return f"YAML reads {text} as the number {number} (base 60); write a plain number, or '{text}' for the text"
    if _OCTAL.fullmatch(text):
        number = write_number(yaml.safe_load(text))
        return f"YAML reads {text} as the number {number} (base 8); {_both(text)}"
    if "_" in text or not (_PLAIN_WHOLE.fullmatch(text) or "." in text):
        return f"YAML reads {text} as the number {write_number(yaml.safe_load(text))}; {_both(text)}"
    return f"{text[:20]}: {_both(text)}" if math.isinf(float(text)) else None


def _both(text: str) -> str:
    """How to write what looks like a number, as a number and as text."""
    try:
        number = read_number(text)
    except ValueError:  # more digits than Python converts
        number = math.inf
    if math.isinf(number):
        return "no number is as large; write a smaller one, or quote it if it is text"
    return f"write {write_number(number)} for the number, or '{text}' for the text"


def write_number(number: int | float) -> str:
    """A number as YAML reads it back: the mantissa has a dot, the exponent a sign."""
    text = repr(number)
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent if exponent[0] in '+-' else '+' + exponent}"
