"""Colours of figures: for people who see colours differently, for grey print, for light and dark pages.

Source: Okabe and Ito, "Color universal design" (2008); dark variants are lighter ones of the same hues. What a colour
says, a symbol or a dash says too.
"""

INK = "#24292f"
LIGHT = {"blue": "#0072b2", "orange": "#d55e00", "green": "#008560", "purple": "#aa4499", "grey": "#767676"}
"""On white, each at least 3 : 1."""
DARK = {"blue": "#56b4e9", "orange": "#ee8f3c", "green": "#35c69a", "purple": "#dd88cc", "grey": "#a0a0a0"}
"""On #16181c, each at least 3 : 1."""
HEAT = ("#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b")
"""From nothing to most, ever darker, so that it survives grey print (ColorBrewer's Blues)."""
HEAT_DARK = ("#1d232b", "#1f4467", "#2a74ad", "#6db6ec", "#e4f3ff")
"""The same on a dark page: ever lighter."""


def heat_ink(share: float) -> str:
    """Ink for a number in a light heat map, at a share of its range."""
    return "#ffffff" if share > 0.6 else INK


def dark_of() -> dict[str, str]:
    """Light colour -> the one in its place on a dark page."""
    return {LIGHT[name]: DARK[name] for name in LIGHT} | dict(zip(HEAT, HEAT_DARK, strict=True)) | {INK: "#e6e8eb"}
