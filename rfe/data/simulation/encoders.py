"""What an encoder makes of the content: frames x_t = rho_i B (v o m_i) + C o_a + noise_t, then the seven statistics.

Every encoder has a latent series of three dimensions more than there are classes, in which content, actor offset and
AR(1) noise overlap; a random lift takes it to the encoder's width. A wide encoder is thus as hard as a narrow one up to
what width itself does to a learner, and content cannot be separated from identity by width alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rfe.data.simulation.appearance import Appearance, Modality
from rfe.data.simulation.knobs import Knobs
from rfe.data.simulation.skeleton import Skeleton
from rfe.data.simulation.streams import open_stream
from rfe.data.statistics import N_STATISTICS, batch_statistics

Kind = Literal["strong", "medium", "weak", "redundant", "noise"]

EXTRA_LATENT = 3
"""Dimensions of a latent series beyond the content's."""
DEMO_CHANNELS = 9
"""Width of a demo encoder's frame for BlEmoRE's six classes: that of its latent series, so that nothing is lifted."""
SHORTEST, LONGEST = 20, 60
"""Frames of a clip."""
NOISE_MEMORY = 0.8
"""AR(1) coefficient of the frame noise, whose standard deviation is 1 in a reliable clip."""
CHANNEL_NOISE = 0.3
"""Standard deviation of each channel's own noise in an encoder wider than its latent series."""
COPY_NOISE = 0.9
"""Correlation of a redundant encoder's frame noise with its source's."""
RUN_LENGTH = 4.0
"""Mean length, in clips of a recording session, of an unreliable stretch."""
RELIABILITY_SPREAD = 0.15
"""Log standard deviation of reliability among reliable clips, and among unreliable ones."""
CHUNK_BYTES = 2**26
"""Frames held at once, in bytes."""
SHIFT_OFFSET: dict[str, tuple[float, float]] = {"none": (0.0, 1.0), "mild": (0.15, 1.1), "strong": (0.5, 1.25)}
"""shift -> (moved mean of the test actors' offsets in their standard deviations, factor on their spread)."""
SHIFT_GAIN: dict[str, float] = {"none": 1.0, "mild": 0.9, "strong": 0.7}
"""shift -> gain, on test clips, of the encoder that changes."""


@dataclass(frozen=True)
class EncoderSpec:
    """One encoder to simulate."""

    name: str
    kind: Kind
    modality: Modality = "video"
    channels: int = DEMO_CHANNELS
    """Width of a frame; the feature file is seven times as wide."""
    copies: str | None = None
    """kind `redundant` only: the encoder whose view and noise it shares."""

    @property
    def dim(self) -> int:
        """Width of the feature file."""
        return N_STATISTICS * self.channels


DEMO_ENCODERS: tuple[EncoderSpec, ...] = (
    EncoderSpec("video_strong", "strong", "video"),
    EncoderSpec("audio_strong", "strong", "audio"),
    EncoderSpec("video_medium", "medium", "video"),
    EncoderSpec("audio_weak", "weak", "audio"),
    EncoderSpec("video_copy", "redundant", "video", copies="video_strong"),
    EncoderSpec("noise", "noise", "audio"),
)
"""63 features each: small enough for a demo, one of every kind."""

FULL_ENCODERS: tuple[EncoderSpec, ...] = (
    EncoderSpec("imagebind", "strong", "video", 1024),
    EncoderSpec("videomaev2", "strong", "video", 1408),
    EncoderSpec("hubert", "strong", "audio", 1024),
    EncoderSpec("wavlm", "redundant", "audio", 1024, copies="hubert"),
    EncoderSpec("hicmae", "medium", "audiovisual", 2048),
    EncoderSpec("openface3", "weak", "video", 11),
    EncoderSpec("clip", "medium", "video", 512),
)
"""The published encoders' names and widths. The kinds are ours, they claim nothing about the real encoders."""


@dataclass(frozen=True)
class EncoderView:
    """How one encoder sees a clip: everything but the noise."""

    spec: EncoderSpec
    source: str
    """The encoder whose view and latent noise are used: itself, or the one it copies."""
    strength: float
    visibility: NDArray[np.float64]
    """[coordinate] v."""
    reliability: NDArray[np.float64]
    """[clip] rho: strength x gain of the clip; 0 throughout for a noise encoder."""
    noise: NDArray[np.float64]
    """[clip] standard deviation of the frame noise."""
    steady: NDArray[np.float64]
    """[clip, latent] rho B (v o m) + C o, the part of a frame that does not change within a clip."""


def latent_width(n_classes: int) -> int:
    """Dimensions of every encoder's latent series."""
    return n_classes + EXTRA_LATENT


def build_view(
    look: Appearance,
    spec: EncoderSpec,
    source: EncoderSpec,
    content: NDArray[np.float64],
    skeleton: Skeleton,
    knobs: Knobs,
    shift: str,
    shifted: bool,
    seed: int,
) -> EncoderView:
    """Draw an encoder's mixing matrices, reliabilities and actor offsets, and apply them.

    Args:
        look: of the classes.
        spec: the encoder; `source` is the same, or the encoder that it copies.
        content: [clip, coordinate] m.
        shift: `none`, `mild` or `strong`: moves the test actors' offsets.
        shifted: whether this is the encoder whose gain changes on test clips.
    """
    strengths = {"strong": knobs.strong, "medium": knobs.medium, "weak": knobs.weak, "noise": 0.0}
    strength = strengths[source.kind]
    visibility = 1.0 + knobs.contrast * look.visibility[source.modality]
    level, noise = draw_reliability(skeleton, knobs, open_stream(seed, "reliability", source.name))
    gain = np.where(skeleton.actor_fold[skeleton.actor] < 0, SHIFT_GAIN[shift] if shifted else 1.0, 1.0)
    reliability = strength * level * gain
    n_latent = latent_width(content.shape[1])
    offset = _draw_offsets(skeleton.actor_fold < 0, n_latent, shift, knobs, open_stream(seed, "offset", source.name))
    steady = offset[skeleton.actor]
    steady[:, : content.shape[1]] += reliability[:, np.newaxis] * content * visibility
    steady = steady @ _draw_rotation(n_latent, open_stream(seed, "mixing", source.name)).T
    return EncoderView(spec, source.name, strength, visibility, reliability, noise, steady)


def draw_reliability(
    skeleton: Skeleton, knobs: Knobs, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bursty reliability: along an actor's session an encoder is unreliable for stretches of a few clips.

    Returns:
        [clip] gain of content, about 1 where reliable and `unreliable_level` where not, and [clip] standard
        deviation of the frame noise, larger where unreliable (a hidden face is also a restless one).
    """
    leave = 1.0 / RUN_LENGTH
    enter = leave * knobs.unreliable_share / (1.0 - knobs.unreliable_share)
    n_actors, n_places = len(skeleton.actor_fold), int(skeleton.recording.max()) + 1
    draws = rng.random((n_actors, n_places, 2))  # a row is an actor's own
    unreliable = np.empty((n_actors, n_places), bool)
    unreliable[:, 0] = draws[:, 0, 0] < knobs.unreliable_share
    for place in range(1, n_places):
        stay = 1.0 - leave
        unreliable[:, place] = draws[:, place, 0] < np.where(unreliable[:, place - 1], stay, enter)
    bad = unreliable[skeleton.actor, skeleton.recording]
    centred = np.sqrt(12.0) * (draws[skeleton.actor, skeleton.recording, 1] - 0.5)  # uniform, unit variance
    level = np.where(bad, knobs.unreliable_level, 1.0) * np.exp(RELIABILITY_SPREAD * centred)
    return level, np.where(bad, 1.0 + knobs.unreliable_noise, 1.0)


def _draw_rotation(n_latent: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """[latent, latent] a random orthogonal matrix."""
    matrix, triangle = np.linalg.qr(rng.standard_normal((n_latent, n_latent)))
    return np.asarray(matrix * np.sign(np.diag(triangle)))


def _draw_offsets(
    actor_is_test: NDArray[np.bool_], n_latent: int, shift: str, knobs: Knobs, rng: np.random.Generator
) -> NDArray[np.float64]:
    """[actor, latent] C o_a: independent offsets of decaying size, each spread over all of the content's coordinates.

    Which class an encoder confuses with identity is thus no matter of luck, and encoders of a kind are equally hard.
    """
    size: NDArray[np.float64] = rng.permutation(knobs.offset * knobs.offset_decay ** np.arange(n_latent))
    offsets = rng.standard_normal((len(actor_is_test), n_latent)) * size
    moved, wider = SHIFT_OFFSET[shift]
    offsets = np.where(actor_is_test[:, np.newaxis], moved * size + wider * offsets, offsets)
    return np.asarray(offsets @ _spread_evenly(n_latent))


def _spread_evenly(n_latent: int) -> NDArray[np.float64]:
    """[latent, latent] a fixed orthogonal matrix whose rows (Hartley's waves) reach every coordinate about equally."""
    angle = 2.0 * np.pi * np.outer(np.arange(n_latent), np.arange(n_latent)) / n_latent
    return np.asarray((np.cos(angle) + np.sin(angle)) / np.sqrt(n_latent))


def draw_lengths(n_clips: int, seed: int) -> NDArray[np.int64]:
    """[clip] frames, the same for every encoder."""
    return open_stream(seed, "length").integers(SHORTEST, LONGEST + 1, n_clips)


def iterate_features(view: EncoderView, lengths: NDArray[np.int64], seed: int) -> Iterator[NDArray[np.float32]]:
    """The rows of an encoder's feature file, [clip, dim] in clip order, in pieces of bounded memory.

    The numbers do not depend on the size of the pieces.
    """
    spec, n_latent = view.spec, view.steady.shape[1]
    noise_stream = open_stream(seed, "noise", view.source)
    own_stream = open_stream(seed, "own noise", spec.name)
    channel_stream = open_stream(seed, "channel noise", spec.name)
    lift = None
    if spec.channels != n_latent:
        lift = open_stream(seed, "lift", spec.name).standard_normal((n_latent, spec.channels)) / np.sqrt(n_latent)
        lift = lift.astype(np.float32)
    copied = spec.name != view.source
    rows = max(1, CHUNK_BYTES // (4 * LONGEST * max(spec.channels, n_latent)))
    for start in range(0, len(lengths), rows):
        piece = slice(start, start + rows)
        noise = _draw_ar(len(lengths[piece]), n_latent, noise_stream)
        if copied:
            own = _draw_ar(len(noise), n_latent, own_stream)
            noise = np.float32(COPY_NOISE) * noise + np.float32(np.sqrt(1 - COPY_NOISE**2)) * own
        latent = noise * view.noise[piece, np.newaxis, np.newaxis].astype(np.float32)
        latent += view.steady[piece, np.newaxis].astype(np.float32)
        yield _summarise(latent, lengths[piece], lift, channel_stream)


def _draw_ar(n_clips: int, n_latent: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """[clip, LONGEST, latent] AR(1) noise of unit variance."""
    noise = rng.standard_normal((n_clips, LONGEST, n_latent), np.float32)
    fresh = np.float32(np.sqrt(1 - NOISE_MEMORY**2))
    for step in range(1, LONGEST):
        noise[:, step] = np.float32(NOISE_MEMORY) * noise[:, step - 1] + fresh * noise[:, step]
    return noise


def _summarise(
    latent: NDArray[np.float32],
    lengths: NDArray[np.int64],
    lift: NDArray[np.float32] | None,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """[clip, dim] statistics of the first `lengths` frames of each clip, clips of equal length at once."""
    channels = latent.shape[2] if lift is None else lift.shape[1]
    if lift is not None:
        frames = latent @ lift
        frames += np.float32(CHANNEL_NOISE) * rng.standard_normal(frames.shape, np.float32)
    else:
        frames = latent
    features = np.empty((len(lengths), N_STATISTICS * channels), np.float32)
    for length in np.unique(lengths):
        members = np.flatnonzero(lengths == length)
        features[members] = batch_statistics(frames[members, :length])
    return features


def describe_visibility(view: EncoderView, classes: Sequence[str]) -> dict[str, float]:
    """Class -> visibility, for truth.json; 0 throughout for a noise encoder."""
    shown = view.visibility if view.strength > 0 else np.zeros(len(classes))
    return {code: round(float(value), 4) for code, value in zip(classes, shown, strict=True)}
