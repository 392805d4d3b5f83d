"""The organisers' baseline and protocol, and what its errors look like: the yardstick of the simulator's difficulty.

One hidden layer of ReLU units, softmax, KL to the soft label, Adam with L2, official thresholds (arXiv 2601.13225).
Deliberately apart from the package's own engine, so that the simulator is not judged by what it is made to test.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rfe.task import BLEMORE

GRID = np.linspace(0.05, 0.95, 20)
HIDDEN = 512
WEIGHT_DECAY = 1e-3


@dataclass(frozen=True)
class Training:
    """How the baseline is trained; the default is the organisers' way, with the learning rates for narrow features."""

    learning_rates: tuple[float, ...] = (5e-6, 1e-5, 5e-5, 5e-4)
    epochs: int = 200
    batch: int = 32
    seed: int = 42


@dataclass(frozen=True)
class Official:
    """Out-of-fold answers under the official protocol: epoch and thresholds of each fold chosen on that fold."""

    answer: NDArray[np.int64]
    """[clip] state."""
    crossfit_answer: NDArray[np.int64]
    """[clip] state; same probabilities, thresholds of fold k from the other folds."""
    probabilities: NDArray[np.float32]
    """[clip, emotion] behind both."""
    learning_rate: tuple[float, ...]
    """[fold] chosen on the other folds."""
    epoch: tuple[int, ...]
    best_fold_thresholds: tuple[float, float]
    """alpha and beta of the fold with the best score: what the organisers use on the test clips."""


def train_official(
    features: NDArray[np.float32], state: NDArray[np.int64], fold: NDArray[np.int64], training: Training
) -> Official:
    """Train all folds at all learning rates and answer every clip.

    Args:
        features: [clip, dim], not standardised.
        state, fold: [clip].
    """
    folds = np.unique(fold)
    probabilities = _train(features, state, fold, folds, training)  # [lr, epoch, clip, emotion]
    top = Top.of(probabilities)
    # [fold, lr, epoch, alpha, beta]
    table = np.stack([top.score_grid(state, fold == k) for k in folds])
    reached = table.reshape(*table.shape[:3], -1).max(axis=(2, 3))
    answer, crossfit = np.empty_like(state), np.empty_like(state)
    kept = np.empty((len(state), 6), np.float32)
    chosen_rate, chosen_epoch = [], []
    for k in range(len(folds)):
        others = np.delete(np.arange(len(folds)), k)
        rate = int(reached[others].mean(axis=0).argmax())
        epoch = int(table[k, rate].reshape(training.epochs, -1).max(axis=1).argmax())
        chosen_rate.append(rate)
        chosen_epoch.append(epoch)
    grids = np.stack([table[k, chosen_rate[k], chosen_epoch[k]] for k in range(len(folds))])
    for k, value in enumerate(folds):
        members = fold == value
        own = top.take(chosen_rate[k], chosen_epoch[k])
        kept[members] = probabilities[chosen_rate[k], chosen_epoch[k], members]
        other_grid = np.delete(grids, k, axis=0).mean(axis=0)
        answer[members] = own.answer(*_best(grids[k]))[members]
        crossfit[members] = own.answer(*_best(other_grid))[members]
    rates = tuple(training.learning_rates[rate] for rate in chosen_rate)
    epochs = tuple(epoch + 1 for epoch in chosen_epoch)
    best_fold = grids[int(grids.max(axis=(1, 2)).argmax())]
    return Official(answer, crossfit, kept, rates, epochs, _best(best_fold))


def answer_test(
    features: NDArray[np.float32], state: NDArray[np.int64], is_test: NDArray[np.bool_], official: Official, seed: int
) -> NDArray[np.int64]:
    """[test clip] the organisers' answer: 100 epochs on all training clips, thresholds of the best fold.

    `state` of the test clips is not looked at.
    """
    rate = max(set(official.learning_rate), key=official.learning_rate.count)
    fold = np.where(is_test, 1, 0)
    training = Training(learning_rates=(rate,), epochs=100, seed=seed)
    probabilities = _train(features, np.where(is_test, 0, state), fold, np.array([1]), training)
    return Top.of(probabilities[0, -1, is_test]).answer(*official.best_fold_thresholds)


def answer_crossfit(
    probabilities: NDArray[np.float32], state: NDArray[np.int64], fold: NDArray[np.int64]
) -> NDArray[np.int64]:
    """[clip] official decoding of out-of-fold probabilities, thresholds of each fold from the others."""
    top = Top.of(probabilities)
    folds = np.unique(fold)
    grids = np.stack([top.score_grid(state, fold == k) for k in folds])
    answer = np.empty_like(state)
    for k, value in enumerate(folds):
        answer[fold == value] = top.answer(*_best(np.delete(grids, k, axis=0).mean(axis=0)))[fold == value]
    return answer


@dataclass(frozen=True)
class Top:
    """The two largest probabilities: all that official decoding looks at. Axes [..., clip]."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    second_value: NDArray[np.float32]
    difference: NDArray[np.float32]

    @classmethod
    def of(cls, probabilities: NDArray[np.float32]) -> "Top":
        order = np.argsort(-probabilities, axis=-1, kind="stable")[..., :2]
        value = np.take_along_axis(probabilities, order, axis=-1)
        return cls(order[..., 0], order[..., 1], value[..., 1], value[..., 0] - value[..., 1])

    def take(self, *index: int) -> "Top":
        return Top(self.first[index], self.second[index], self.second_value[index], self.difference[index])

    def answer(self, alpha: float, beta: float) -> NDArray[np.int64]:
        """[..., clip] the official answer."""
        pair = BLEMORE.pair_set[self.first, self.second]
        # A set's states stand at 70/30, 50/50, 30/70 of its alphabetically first emotion.
        toward = np.where(self.difference <= beta, 1, np.where(self.first < self.second, 0, 2))
        blend = 6 + 3 * (pair - 6) + toward
        return np.asarray(np.where((self.second_value < alpha) | (pair < 0), self.first, blend))

    def score_grid(self, state: NDArray[np.int64], members: NDArray[np.bool_]) -> NDArray[np.float64]:
        """[..., alpha, beta] official score on some clips."""
        state, part = state[members], self.take(..., members)  # type: ignore[arg-type]
        is_blend, pair = BLEMORE.state_is_blend[state], BLEMORE.pair_set[part.first, part.second]
        single = (part.second_value[..., np.newaxis] < GRID) | (pair < 0)[..., np.newaxis]
        single_hit = part.first == state
        pair_hit = (pair == BLEMORE.state_set[state]) & is_blend
        presence = np.where(single, single_hit[..., np.newaxis], pair_hit[..., np.newaxis]).mean(axis=-2)
        equal = part.difference[..., np.newaxis] <= GRID
        toward = np.where(part.first < part.second, 0, 2)
        ratio = (state - 6) % 3
        right = np.where(equal, (ratio == 1)[:, np.newaxis], (toward == ratio)[..., np.newaxis])
        right = right & pair_hit[..., np.newaxis]
        salience = np.swapaxes(~single, -1, -2).astype(np.float32) @ right.astype(np.float32) / is_blend.sum()
        return np.asarray((presence[..., np.newaxis] + salience) / 2)


def _best(grid: NDArray[np.float64]) -> tuple[float, float]:
    alpha, beta = np.unravel_index(int(grid.argmax()), grid.shape)
    return float(GRID[alpha]), float(GRID[beta])


def _train(
    features: NDArray[np.float32],
    state: NDArray[np.int64],
    fold: NDArray[np.int64],
    folds: NDArray[np.int64],
    training: Training,
) -> NDArray[np.float32]:
    """[lr, epoch, clip, emotion] probabilities of every clip from the model that did not train on its fold."""
    scaled = []
    for k in folds:
        inside = features[fold != k]
        scaled.append((features - inside.mean(axis=0)) / (inside.std(axis=0) + 1e-8))
    inputs = torch.from_numpy(np.stack(scaled).astype(np.float32))  # [fold, clip, dim]
    return np.stack([_train_rate(inputs, state, fold, folds, training, rate) for rate in training.learning_rates])


def _train_rate(
    inputs: torch.Tensor,
    state: NDArray[np.int64],
    fold: NDArray[np.int64],
    folds: NDArray[np.int64],
    training: Training,
    rate: float,
) -> NDArray[np.float32]:
    """[epoch, clip, emotion] of one learning rate, all folds side by side; start and batches are the same for all."""
    generator = torch.Generator().manual_seed(training.seed)
    n_folds, dim = len(folds), inputs.shape[2]
    target = torch.from_numpy(BLEMORE.state_salience[state])
    shapes = ((dim, HIDDEN, dim), (1, HIDDEN, dim), (HIDDEN, 6, HIDDEN), (1, 6, HIDDEN))
    w1, b1, w2, b2 = parameters = [
        ((2 * torch.rand((n_folds, rows, columns), generator=generator) - 1) / fan_in**0.5).requires_grad_()
        for rows, columns, fan_in in shapes
    ]
    optimizer = torch.optim.Adam(parameters, lr=rate, weight_decay=WEIGHT_DECAY, fused=True)
    result = np.empty((training.epochs, len(state), 6), np.float32)
    inside = [torch.from_numpy(np.flatnonzero(fold != k)) for k in folds]
    steps = min(len(clips) for clips in inside) // training.batch
    every_fold = torch.arange(n_folds)[:, np.newaxis]
    for epoch in range(training.epochs):
        order = [clips[torch.randperm(len(clips), generator=generator)] for clips in inside]
        for step in range(steps):
            chosen = torch.stack([o[step * training.batch : (step + 1) * training.batch] for o in order])
            hidden = torch.relu(torch.baddbmm(b1, inputs[every_fold, chosen], w1))
            logits = torch.baddbmm(b2, hidden, w2)
            # KL to a fixed label and cross-entropy have the same gradient.
            loss = -(target[chosen] * torch.log_softmax(logits, -1)).sum() / training.batch
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            for k, value in enumerate(folds):
                held = np.flatnonzero(fold == value)
                hidden = torch.relu(inputs[k, held] @ w1[k] + b1[k])
                result[epoch, held] = torch.softmax(hidden @ w2[k] + b2[k], -1).numpy()
    return result


def describe_errors(state: NDArray[np.int64], answer: NDArray[np.int64]) -> dict[str, float]:
    """Shares by which the published confusion matrices are described; each by the name the report shows."""
    truth_set, answer_set, is_blend = BLEMORE.state_set[state], BLEMORE.state_set[answer], BLEMORE.state_is_blend[state]
    set_right = truth_set == answer_set
    members = np.zeros((16, 6), bool)
    for index, emotions in enumerate(BLEMORE.sets):
        members[index, list(emotions)] = True
    shares_one = (members[truth_set] & members[answer_set]).any(axis=1)
    recall = {index: float(set_right[truth_set == index].mean()) for index in range(16)}
    return {
        "P": float(set_right.mean()),
        "S": float((state == answer)[is_blend].mean()),
        "blends answered as blends": float(BLEMORE.state_is_blend[answer][is_blend].mean()),
        "singles answered as singles": float((~BLEMORE.state_is_blend[answer])[~is_blend].mean()),
        "wrong blends that share an emotion": float(shares_one[is_blend & ~set_right].mean()),
        "ratio right given the pair": float((state == answer)[is_blend & set_right].mean()),
        "recall of happiness": recall[3],
        "recall of neutral": recall[BLEMORE.classes.index("neu")],
        "recall of anger-sadness": recall[int(BLEMORE.pair_set[0, 4])],
        "recall of fear-sadness": recall[int(BLEMORE.pair_set[2, 4])],
    }
