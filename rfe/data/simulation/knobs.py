"""How hard the simulated task is.

With this table the organisers' baseline does on simulated data roughly as it is published to do on the real task. It
comes from `tests.evidence.simulator_knobs` and from moves by hand; `reports/evidence/simulator` shows what fits and
what does not.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Knobs:
    """Sizes of everything planted; lengths are in units of an ordinary emotion's content (1)."""

    strong: float
    """Gain of content in a strong encoder, in units of the frame noise's standard deviation."""
    medium: float
    weak: float
    contrast: float
    """How far an encoder's visibility differs between emotions: 0 is no difference."""
    happiness: float
    """Length of happiness in the class geometry."""
    neutral: float
    sadness: float
    """Length of sadness: where it is short, a blend with it looks like the other emotion."""
    closeness: float
    """Similarity of anger-sadness and fear-sadness in the class geometry; other pairs have a part of it."""
    intensity_spread: float
    """Intensity 1 to 4 spans 1 - spread to 1 + spread."""
    blend_intensity: float
    """Intensity of a blend, relative to the mean intensity of a single."""
    display: float
    """Standard deviation, per coordinate, of an actor's personal display of an emotion."""
    expressivity: float
    """Log standard deviation of expressivity between actors."""
    pull: float
    """Standard deviation of the random pull on a blend's log odds."""
    scatter: float
    """Standard deviation, per coordinate, of an actor's own display of a blend of the most alike emotions."""
    offset: float
    """Standard deviation of the largest direction of the actors' offset, in units of the frame noise."""
    offset_decay: float
    """Each further direction of the offset is smaller by this factor."""
    unreliable_share: float
    """Part of the clips in which an encoder is unreliable."""
    unreliable_level: float
    """Gain of content in an unreliable clip, relative to a reliable one."""
    unreliable_noise: float
    """Frame noise of an unreliable clip exceeds a reliable one's by this part."""


KNOBS = Knobs(
    strong=1.6,
    medium=1.1,
    weak=0.67,
    contrast=0.5,
    happiness=3.5,
    neutral=1.8,
    sadness=0.9,
    closeness=0.05,
    intensity_spread=0.12,
    blend_intensity=1.38,
    display=0.08,
    expressivity=0.09,
    pull=0.85,
    scatter=0.7,
    offset=8.2,
    offset_decay=0.55,
    unreliable_share=0.25,
    unreliable_level=0.2,
    unreliable_noise=0.5,
)
