"""How hard the simulated task is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Knobs:
    """Sizes of everything planted; lengths are in units of an ordinary emotion's content (1)."""

    strong: float = 1.0
    """Gain of content in a strong encoder, in units of the frame noise's standard deviation."""
    medium: float = 0.7
    weak: float = 0.35
    contrast: float = 0.35
    """How far an encoder's visibility differs between emotions: 0 is no difference."""
    happiness: float = 1.5
    """Length of happiness in the class geometry."""
    neutral: float = 1.5
    sadness: float = 0.8
    """Length of sadness: where it is short, a blend with it looks like the other emotion."""
    closeness: float = 0.55
    """Similarity of anger-sadness and fear-sadness in the class geometry; other pairs have a part of it."""
    intensity_spread: float = 0.35
    """Intensity 1 to 4 spans 1 - spread to 1 + spread."""
    blend_intensity: float = 1.3
    """Intensity of a blend, relative to the mean intensity of a single."""
    display: float = 0.35
    """Standard deviation, per coordinate, of an actor's personal display of an emotion."""
    expressivity: float = 0.25
    """Log standard deviation of expressivity between actors."""
    pull: float = 0.9
    """Standard deviation of the random pull on a blend's log odds."""
    scatter: float = 0.5
    """Standard deviation, per coordinate, of an actor's own display of a blend of the most alike emotions."""
    offset: float = 3.0
    """Standard deviation of the largest direction of the actors' offset, in units of the frame noise."""
    offset_decay: float = 0.6
    """Each further direction of the offset is smaller by this factor."""
    unreliable_share: float = 0.25
    """Part of the clips in which an encoder is unreliable."""
    unreliable_level: float = 0.2
    """Gain of content in an unreliable clip, relative to a reliable one."""
    unreliable_noise: float = 0.5
    """Frame noise of an unreliable clip exceeds a reliable one's by this part."""


KNOBS = Knobs(
    strong=1.5,
    contrast=0.4,
    happiness=2.47,
    neutral=1.7,
    sadness=0.8,
    closeness=0.2,
    intensity_spread=0.19,
    blend_intensity=1.3,
    display=0.18,
    expressivity=0.17,
    pull=0.6,
    scatter=0.7,
    offset=6.0,
    offset_decay=0.5,
)
