"""A condition on trials as a user types it, e.g. `score < .3 and epoch > 5`: parsed, checked, never evaluated as code.

The text is parsed with Python's `ast`; only the node types listed here are accepted, so that a condition can compare
and combine values and do nothing else.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rfe.config.fields import FIELDS, locate
from rfe.errors import ConfigError
from rfe.suggestions import unknown

LONGEST = 1000
"""Most characters of a condition; Python's parser takes deeply nested text to the end of its stack."""
TRIAL_FIELDS = ("number", "score", "epoch", "seconds")
"""Names of a trial's values, in addition to the fields of its configuration."""
EXAMPLE = 'e.g. "score < .3 and epoch > 5"'

_MISSING = object()
"""A value the trial does not have (yet): comparing it tells nothing."""

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}


@dataclass(frozen=True)
class TrialSelection:
    """A checked condition; use `parse_selection`."""

    text: str
    _tree: ast.expr
    _option: str

    def matches(self, values: Mapping[str, Any]) -> bool:
        """Whether a trial with these values is selected.

        A name that `values` lacks makes a comparison undecided, and what is undecided is not selected: `score < .3` and
        `not score < .3` both leave a trial out that has no score yet.

        Args:
            values: the names in `TRIAL_FIELDS` that are known, and the trial's configuration by dotted name.

        Raises:
            ConfigError: values of different types are compared, e.g. a word with a number.

        Examples:
            >>> parse_selection("score < .3 and epoch > 5").matches({"score": 0.2, "epoch": 6})
            True
            >>> parse_selection("not score < .3").matches({"epoch": 6})
            False
        """
        return _decide(self._tree, values, self._option) is True


def parse_selection(text: str, option: str = "--where") -> TrialSelection:
    """The condition in `text`.

    Comparisons (`<`, `<=`, `>`, `>=`, `==`, `!=`, `in`, `not in`) of names, numbers, quoted words, `True`, `False`,
    `None` and lists, joined by `and`, `or`, `not` and parentheses. A name is one of `TRIAL_FIELDS` or a field of the
    configuration (`train.lr`); an entry whose name is no word is written in brackets: `data.standardize["wav2vec-2"]`.

    Args:
        text: as typed.
        option: names it in messages.

    Raises:
        ConfigError: it is no such condition, or a name is unknown (with the nearest known one).

    Examples:
        >>> parse_selection("model.fusion.kind in ['weighted_sum'] and .1 < score < .3").text
        "model.fusion.kind in ['weighted_sum'] and .1 < score < .3"
    """
    heading = f"{option} {text!r}" if len(text) <= 80 else f"{option} {text[:77]!r}..."
    if len(text) > LONGEST:
        raise ConfigError(f"{heading}: has {len(text)} characters; use at most {LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it cannot be parsed"
        raise ConfigError(f"{heading}: is not a condition ({reason}); write comparisons, {EXAMPLE}") from None
    _check_condition(tree, heading)
    return TrialSelection(text, tree, heading)


def _check_condition(node: ast.expr, heading: str) -> None:
    if isinstance(node, ast.BoolOp):
        for one in node.values:
            _check_condition(one, heading)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        _check_condition(node.operand, heading)
    elif isinstance(node, ast.Compare) and all(type(one) in _COMPARISONS for one in node.ops):
        for one in (node.left, *node.comparators):
            _check_value(one, heading)
    else:
        what = ast.unparse(node)
        raise ConfigError(f"{heading}: {what!r} is not a comparison, and, or, not; write comparisons, {EXAMPLE}")


def _check_value(node: ast.expr, heading: str) -> None:
    if (name := _name(node)) is not None:
        if name not in TRIAL_FIELDS and locate(name) is None:
            raise ConfigError(f"{heading}: {unknown('name', name, [*TRIAL_FIELDS, *FIELDS])}; quote a word: '{name}'")
        return
    try:
        value = ast.literal_eval(node)  # constants, signs and lists of them; nothing is called or looked up
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        value = _MISSING
    plain = (str, int, float, bool, type(None))
    many = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, plain) for one in many):
        what = ast.unparse(node)
        raise ConfigError(
            f"{heading}: {what!r} is neither a name, a number, a quoted word nor a list of them; write comparisons, "
            f"{EXAMPLE}"
        )


def _name(node: ast.expr) -> str | None:
    """The dotted name that a node spells; None if it is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _name(node.value)
        return None if inner is None else f"{inner}.{node.attr}"
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        inner = _name(node.value)
        return None if inner is None else f"{inner}.{node.slice.value}"
    return None


def _decide(node: ast.expr, values: Mapping[str, Any], heading: str) -> bool | None:
    """Whether the condition holds; None where it depends on what is not known (Kleene's three-valued logic)."""
    if isinstance(node, ast.BoolOp):
        # every part is decided, so that a comparison of wrong types is found whatever the others say
        parts = [_decide(one, values, heading) for one in node.values]
        decisive = isinstance(node.op, ast.Or)
        if decisive in parts:
            return decisive
        return None if None in parts else not decisive
    if isinstance(node, ast.UnaryOp):
        inner = _decide(node.operand, values, heading)
        return None if inner is None else not inner
    assert isinstance(node, ast.Compare)
    compared = [_look_up(one, values) for one in (node.left, *node.comparators)]
    found: bool | None = True
    for place, compare in enumerate(node.ops):
        left, right = compared[place], compared[place + 1]
        if left is _MISSING or right is _MISSING:
            found = None if found is not False else False
            continue
        try:
            holds = bool(_COMPARISONS[type(compare)](left, right))
        except TypeError:
            raise ConfigError(
                f"{heading}: {ast.unparse(node)!r} compares {left!r} with {right!r}; compare values of one type"
            ) from None
        found = found if holds else False
    return found


def _look_up(node: ast.expr, values: Mapping[str, Any]) -> Any:
    name = _name(node)
    return ast.literal_eval(node) if name is None else values.get(name, _MISSING)
