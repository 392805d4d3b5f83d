"""Values as text for people: the same in terminals, notebooks, reports and MLflow's notes."""

from typing import Any

SIGNED = "+z.3f"
"""Form of a difference: with its sign, which what rounds to zero has not below it."""


def format_value(value: Any, form: str = "", joint: str = ", ") -> str:
    """One value: yes and no, lists with commas, nothing for None and nan.

    Args:
        value: of a parameter, a score, a setting.
        form: of floats, as `format` takes it; "": three decimals, or three digits where those would say little.
        joint: between the entries of a list.

    Examples:
        >>> format_value(0.51234), format_value(0.000512), format_value([True, None]), format_value(-0.0001, SIGNED)
        ('0.512', '0.000512', 'yes, ', '+0.000')
    """
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return format(value, form or (".3f" if 1e-2 <= abs(value) < 1e4 or value == 0 else ".3g"))
    if isinstance(value, list | tuple):
        return joint.join(format_value(one, form, joint) for one in value)
    return str(value)


def format_bounds(low: float | None, high: float | None, form: str = ".3f") -> str:
    """The ends of an interval, `0.310 to 0.350`; empty without one."""
    ends = [format_value(low, form), format_value(high, form)]
    return " to ".join(ends) if all(ends) else ""
