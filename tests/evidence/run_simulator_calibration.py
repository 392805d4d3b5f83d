"""How hard the simulated task is: the organisers' baseline on it beside what is published of the real task.

`python -m tests.evidence.run_simulator_calibration` writes reports/evidence/simulator/README.md (about ten minutes on
one core). The knobs behind it come from `tests.evidence.simulator_knobs`, which looked at other data seeds than this.
"""

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from rfe.data.simulate import SimulationSpec, build_world, simulate
from rfe.data.simulation.encoders import iterate_features
from rfe.data.simulation.knobs import KNOBS
from rfe.task import BLEMORE
from rfe.writing import write_text
from tests.evidence.organisers_baseline import (
    Official,
    Training,
    answer_crossfit,
    answer_test,
    describe_errors,
    train_official,
)
from tests.evidence.simulator_knobs import DATA_SEEDS, PAIR, actor_share, measure_seed, standardise_by_actor

REPORT = Path(__file__).parents[2] / "reports" / "evidence" / "simulator" / "README.md"
SPEC = SimulationSpec(seed=0)
SHIFTS = ("none", "mild", "strong")
MANY_TEST_ACTORS = 100


@dataclass(frozen=True)
class Simulated:
    """The training clips of a simulated folder."""

    features: dict[str, NDArray[np.float32]]
    state: NDArray[np.int64]
    fold: NDArray[np.int64]
    actor: NDArray[np.int64]
    reliability: dict[str, NDArray[np.float64]]
    truth: dict  # type: ignore[type-arg]

    def join(self, names: tuple[str, ...]) -> NDArray[np.float32]:
        return np.concatenate([self.features[name] for name in names], axis=1)


def main() -> None:
    torch.set_num_threads(1)
    data = read_simulated()
    pools = {name: (name,) for name in data.features} | {"pair": PAIR, "all six": tuple(data.features)}
    official: dict[str, Official] = {}
    for name, members in pools.items():
        training = Training() if name in (*PAIR, "pair") else Training(learning_rates=(5e-4,))
        official[name] = train_official(data.join(members), data.state, data.fold, training)
        print(name, _shares(data, official[name]), flush=True)
    sections = [
        HEADING,
        "## Published beside simulated\n\n" + compare(data, official),
        "## Every encoder\n\n" + list_encoders(data, official, pools),
        "## Test actors\n\n" + score_shifts(official["pair"]),
        "## What a per-clip weighting could gain\n\n" + weigh_by_reliability(data, official),
        "## Ceiling\n\n" + state_ceiling(data),
        "## Knobs\n\n" + list_knobs(),
    ]
    write_text(REPORT, "\n".join(sections))


HEADING = """# The simulator's difficulty

All numbers in this folder are from **simulated** data (seed 0, official skeleton, demo width: 63 features an encoder);
they say nothing about real recordings. Made by `python -m tests.evidence.run_simulator_calibration`.

The baseline is the organisers' (one hidden layer of 512, KL, Adam with L2, 200 epochs, batch 32, seed 42; learning rate
of 5e-6, 1e-5, 5e-5, 5e-4, chosen without the reported fold, for the two strong encoders and their pair; 5e-4 for the
others, to save time) under their protocol: thresholds *and epoch* are chosen on the fold that is reported, which is
optimistic. Published numbers: arXiv 2601.13225 and the organisers' result files.
"""


def read_simulated() -> Simulated:
    """Write a data set with the public function and read its files back."""
    with tempfile.TemporaryDirectory() as name:
        folder = simulate(SPEC, Path(name))
        truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        features = {}
        for encoder in truth["encoders"]:
            with np.load(folder / f"{encoder}_static_features.npz", allow_pickle=False) as file:
                features[encoder] = file["X"]
    world = build_world(SPEC)
    n_train = world.skeleton.n_train
    return Simulated(
        features={encoder: values[:n_train] for encoder, values in features.items()},
        state=world.skeleton.state[:n_train],
        fold=world.skeleton.fold[:n_train],
        actor=world.skeleton.actor[:n_train],
        reliability={name: np.array(v)[:n_train] for name, v in truth["clips"]["reliability"].items()},
        truth=truth,
    )


def compare(data: Simulated, official: dict[str, Official]) -> str:
    """The table of published ranges, the simulated value, and whether it fits."""
    errors = {name: describe_errors(data.state, result.answer) for name, result in official.items()}
    seeds = [measure_seed(KNOBS, seed) for seed in DATA_SEEDS]
    quick = {
        name: f"{np.mean([row[name] for row in seeds]):.3f} ({np.std([row[name] for row in seeds], ddof=1):.3f})"
        for name in seeds[0]
    }
    most_frequent = np.bincount(BLEMORE.state_set[data.state][data.state < 6]).max() / len(data.state)
    gains = {name: logistic_gain(data, members) for name, members in (("pair", PAIR), ("all", tuple(data.features)))}
    optimism = {
        name: _score(data.state, official[name].answer) - _score(data.state, official[name].crossfit_answer)
        for name in official
        if name != "noise"
    }
    pair = errors["pair"]
    rows = [
        ("most frequent single, P", 0.078, 0.078, float(most_frequent), None),
        ("strong video encoder, P", 0.21, 0.30, errors[PAIR[0]]["P"], quick["video P"]),
        ("strong video encoder, S", 0.08, 0.13, errors[PAIR[0]]["S"], quick["video S"]),
        ("strong audio encoder, P", 0.21, 0.30, errors[PAIR[1]]["P"], quick["audio P"]),
        ("strong audio encoder, S", 0.08, 0.13, errors[PAIR[1]]["S"], quick["audio S"]),
        ("video + audio pair, P", 0.33, 0.35, pair["P"], quick["pair P"]),
        ("video + audio pair, S", 0.14, 0.17, pair["S"], quick["pair S"]),
    ]
    rows += [
        (f"pair: {name}", low, high, pair[name], quick[f"pair {name}"])
        for name, low, high in (
            ("blends answered as blends", 0.72, 0.72),
            ("singles answered as singles", 0.56, 0.56),
            ("wrong blends that share an emotion", 0.89, 0.89),
            ("ratio right given the pair", 0.35, 0.44),
            ("recall of happiness", 0.70, 0.70),
            ("recall of neutral", 0.70, 0.70),
            ("recall of anger-sadness", 0.10, 0.10),
            ("recall of fear-sadness", 0.10, 0.10),
        )
    ]
    quick_gain = quick["gain of actor standardisation"]
    rows += [
        ("logistic regression, pair: gain of actor standardisation, P", 0.05, 0.09, gains["pair"], quick_gain),
        ("logistic regression, all six: the same", 0.05, 0.09, gains["all"], None),
        (
            "official minus crossfit thresholds, Score, pair",
            0.005,
            0.025,
            optimism["pair"],
            quick["pair official minus crossfit"],
        ),
        ("the same, mean of all pools but noise", 0.005, 0.025, float(np.mean(list(optimism.values()))), None),
    ]
    lines = [
        "| | published or measured | simulated, seed 0 | five other seeds, quick (sd) | seed 0, five seeds |",
        "|---|---|---|---|---|",
    ]
    for name, low, high, value, other in rows:
        wanted = f"{low:.3f}" if low == high else f"{low:.3f} to {high:.3f}"
        judged = judge(value, low, high) + ("" if other is None else f", {judge(float(other.split()[0]), low, high)}")
        lines.append(f"| {name} | {wanted} | {value:.3f} | {other or ''} | {judged} |")
    return "\n".join(lines) + COMPARE_NOTE


COMPARE_NOTE = """

"Fits": inside the published range; for a single published value, within .05 of it; otherwise the distance. Quick
training (batch 128, 15 epochs, learning rate 1e-3; a linear discriminant for logistic regression) is what the knobs
were searched with, on these same five data seeds: that column is not held out, and seed 0 was looked at too. Data
seeds differ by more than the training does (seed 0 is one of the easier): official thresholds tip between answering
many blends and few.

What does not fit. Anger-sadness and fear-sadness are not the hardest pairs here (.2 to .25 for .1), singles are
answered as singles too seldom, happiness is recalled too seldom, and the ratio is right too often. Raising the one
lowered another in every move tried. Part of it is in the targets: the shares of right and wrong answers are published
for the organisers' *test* answers, whose pairs have S = .114, the rows P and S of the pair are *validation* values.
Similar class means made the two pairs easier under top-two decoding, not harder; so the fitted `closeness` is near 0,
and what makes them hard is `scatter`, each actor's own display of a blend of like emotions.

The gain of actor standardisation is not published, it was measured on real recordings with other features. Here it
depends on the regularisation of the logistic regression: on the pair .06 at C = 1 (scikit-learn's default, the row
above), .10 at C = 0.1, .12 at C = 0.01. All six encoders stop at 300 iterations, short of convergence.

How the knobs were found: searches (random, Gauss-Newton, hill climbing; `tests.evidence.simulator_knobs` is the last)
and moves by hand between them. The final values of the strong encoders' knobs are such moves, made after the last
search and with seed 0 seen, after actor offsets had been spread evenly; the searches since found nothing better or
were not run to their end. Medium and weak encoders have no published counterpart: they alone are set by the script, to
a presence of .22 and .15 (quick training); the weakest published encoder has .228, always answering neutral .078. The
three `unreliable` knobs and the sizes of the shifts are choices.
"""


def judge(value: float, low: float, high: float) -> str:
    """`fits`, or how far outside."""
    slack = 0.05 if low == high else 0.0
    if low - slack <= value <= high + slack:
        return "fits"
    return f"{value - low:+.3f}" if value < low else f"{value - high:+.3f}"


def logistic_gain(data: Simulated, names: tuple[str, ...]) -> float:
    """Out-of-fold accuracy over the 16 sets with actor standardisation, minus that without."""
    accuracy = []
    features, truth_set = data.join(names), BLEMORE.state_set[data.state]
    for values in (standardise_by_actor(features, data.actor), features):
        answer = np.empty_like(truth_set)
        for k in np.unique(data.fold):
            inside = data.fold != k
            scaled = (values - values[inside].mean(axis=0)) / (values[inside].std(axis=0) + 1e-8)
            model = LogisticRegression(max_iter=300).fit(scaled[inside], truth_set[inside])
            answer[~inside] = model.predict(scaled[~inside])
        accuracy.append(float((answer == truth_set).mean()))
    return accuracy[0] - accuracy[1]


def list_encoders(data: Simulated, official: dict[str, Official], pools: dict[str, tuple[str, ...]]) -> str:
    """A row for each encoder and pool."""
    lines = [
        "| pool | kind | P | S | Score | crossfit thresholds | happiness | disgust | actors' share of variance |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, members in pools.items():
        kind = data.truth["encoders"][name]["kind"] if name in data.features else ""
        result = official[name]
        errors = describe_errors(data.state, result.answer)
        largest = result.probabilities.argmax(axis=1)
        happiness, disgust = (float((largest == emotion)[data.state == emotion].mean()) for emotion in (3, 1))
        lines.append(
            f"| {name} | {kind} | {errors['P']:.3f} | {errors['S']:.3f} | {_score(data.state, result.answer):.3f} "
            f"| {_score(data.state, result.crossfit_answer):.3f} | {happiness:.2f} | {disgust:.2f} "
            f"| {actor_share(data.join(members), data.actor):.2f} |"
        )
    note = (
        "\n\nHappiness and disgust: part of these singles whose largest probability is theirs (no thresholds). The "
        "baseline standardises by fold, never by actor.\n"
    )
    return "\n".join(lines) + note


def score_shifts(pair: Official) -> str:
    """The pair's test score for each shift, on many fresh actors, trained and decoded as the organisers do."""
    train, test, state, origin = None, [], [], []
    encoders = tuple(encoder for encoder in SPEC.encoder_specs if encoder.name in PAIR)
    for shift in SHIFTS:
        spec = replace(SPEC, shift=shift, test_actors=MANY_TEST_ACTORS, encoders=encoders)  # type: ignore[arg-type]
        world = build_world(spec)
        parts = [np.concatenate(list(iterate_features(view, world.lengths, spec.seed))) for view in world.views]
        features, n_train = np.concatenate(parts, axis=1), world.skeleton.n_train
        if train is None:
            train, state = features[:n_train], [world.skeleton.state[:n_train]]
        test.append(features[n_train:])
        state.append(world.skeleton.state[n_train:])
        origin.append(np.full(len(features) - n_train, len(origin)))
    assert train is not None
    everything, truth = np.concatenate([train, *test]), np.concatenate(state)
    is_test = np.arange(len(truth)) >= len(train)
    answer = answer_test(everything, truth, is_test, pair, seed=42)
    lines = ["| shift | P | S |", "|---|---|---|"]
    for index, shift in enumerate(SHIFTS):
        members = np.concatenate(origin) == index
        errors = describe_errors(truth[is_test][members], answer[members])
        lines.append(f"| {shift} | {errors['P']:.3f} | {errors['S']:.3f} |")
    return (
        "The pair, trained on all training clips for 100 epochs, thresholds of the single best fold, on "
        f"{MANY_TEST_ACTORS} test actors. Published test values of the pairs: P .327-.332, S .114.\n\n"
        + "\n".join(lines)
        + "\n"
    )


def weigh_by_reliability(data: Simulated, official: dict[str, Official]) -> str:
    """Late fusion with equal weights, with each encoder's mean reliability, and with each clip's planted one."""
    lines = ["| late fusion of | equal | by encoder | by clip, planted | by clip, shuffled |", "|---|---|---|---|---|"]
    rng = np.random.default_rng(0)
    useful = tuple(name for name in data.features if name != "noise")
    for label, names in (
        ("the pair", PAIR),
        ("the five that are not noise", useful),
        ("all six", tuple(data.features)),
    ):
        probabilities = np.stack([official[name].probabilities for name in names], axis=1)
        log_odds = np.log(probabilities + 1e-6)
        planted = np.stack([data.reliability[name] for name in names], axis=1)
        weights = {
            "equal": np.ones_like(planted),
            "encoder": np.broadcast_to(planted.mean(axis=0), planted.shape),
            "planted": planted,
            "shuffled": np.stack([rng.permutation(column) for column in planted.T], axis=1),
        }
        scores = []
        for weight in weights.values():
            # The product of experts, weighted so that an encoder that saw nothing says nothing.
            share = weight / np.maximum(weight.mean(axis=1, keepdims=True), 1e-6)
            fused = np.exp((log_odds * share[:, :, np.newaxis]).mean(axis=1))
            fused /= fused.sum(axis=1, keepdims=True)
            answer = answer_crossfit(fused.astype(np.float32), data.state, data.fold)
            errors = describe_errors(data.state, answer)
            scores.append(f"{(errors['P'] + errors['S']) / 2:.3f} (P {errors['P']:.3f}, S {errors['S']:.3f})")
        lines.append(f"| {label} | {' | '.join(scores)} |")
    return (
        "Score of the single encoders' probabilities fused in log space, thresholds crossfit, one data seed. The "
        "planted reliability is what a perfect gate would know. Differences below .02 are within the noise of one data "
        "set; the base probabilities' epochs were chosen on the reported fold.\n\n" + "\n".join(lines) + "\n"
    )


def state_ceiling(data: Simulated) -> str:
    """The oracle's scores."""
    oracle = data.truth["oracle"]
    lines = ["| clips | P | S | Score |", "|---|---|---|---|"]
    for part in ("train", "test"):
        row = oracle[part]
        lines.append(f"| {part} | {row['acc_presence']:.3f} | {row['acc_salience']:.3f} | {row['score']:.3f} |")
    return (
        "An observer who sees each clip's content m without noise, knows how the population of actors shows each "
        "emotion (not the single actor), and answers by expected score.\n\n" + "\n".join(lines) + "\n"
    )


def list_knobs() -> str:
    """The calibrated table."""
    lines = ["| knob | value |", "|---|---|"]
    return "\n".join(lines + [f"| {name} | {value:g} |" for name, value in asdict(KNOBS).items()]) + "\n"


def _score(state: NDArray[np.int64], answer: NDArray[np.int64]) -> float:
    errors = describe_errors(state, answer)
    return (errors["P"] + errors["S"]) / 2


def _shares(data: Simulated, official: Official) -> dict[str, float]:
    return {name: round(value, 3) for name, value in describe_errors(data.state, official.answer).items()}


if __name__ == "__main__":
    main()
