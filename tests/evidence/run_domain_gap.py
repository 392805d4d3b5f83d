"""How much of a planted shift do actor standardisation and each adaptation close?"""

from itertools import product

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.decoding.base import Outputs
from rfe.decoding.fitting import build_decoder
from rfe.metrics.score import score
from rfe.task import BLEMORE
from rfe.training.batches import FeatureBank
from rfe.training.build import build_replicas, stack_shape
from rfe.training.configurations import train_configurations
from rfe.training.engine import Stack
from tests.evidence.simulated import simulated_set, table, write_report

ADAPTATIONS = {"none": 0.0, "coral": 1.0, "mmd": 1.0, "dann": 0.3}
EPOCHS = 20


def main() -> None:
    torch.set_num_threads(1)
    rows, gaps, scores = [], {}, {}
    for shift, standardize, kind in [
        ("none", "fold", "none"),
        *product(("strong",), ("fold", "actor"), ADAPTATIONS),
    ]:
        dataset, cache, truth = simulated_set(seed=12, shift=shift)
        labels = truth["test_labels"]
        answer = np.array(
            [BLEMORE.state_index(labels[str(name)]) for name in dataset.clips.filename[dataset.clips.n_source :]]
        )
        config = change_config(
            Config(),
            {
                "data.standardize": standardize,
                "data.target_actors": "known",
                "adaptation.kind": kind,
                "adaptation.strength": ADAPTATIONS[kind] or 0.1,
                "adaptation.target": "test",
                "train.epochs": EPOCHS,
                "train.batch_size": 256,
                "train.lr": 2.0e-3,
                "train.weight_decay": 0.1,
                "model.dropout": 0.5,
                "loss.presence": "states",
                "decode.kind": "official",
            },
        )
        gaps[shift, standardize, kind] = _gap(config, dataset, cache)
        scores[shift, standardize, kind] = _test_score(config, dataset, cache, answer)
        print(shift, standardize, kind, gaps[shift, standardize, kind], scores[shift, standardize, kind], flush=True)
    floor, whole = gaps["none", "fold", "none"], gaps["strong", "fold", "none"]
    for (shift, standardize, kind), gap in gaps.items():
        closed = "" if shift == "none" else f"{100 * (whole - gap) / (whole - floor):.0f}%"
        rows.append([shift, standardize, kind, f"{gap:.3f}", closed, f"{scores[shift, standardize, kind]:.3f}"])
    body = f"""Gap: 2 (AUC - 1/2) of a cross-validated logistic regression that tells held-out training actors' clips
from test actors' clips by the fused feature f, mean over the five fold models. Closed: the part of the difference
between the strong shift and none (first row, whose gap is that of any two groups of actors) that an arm takes away.
Score: the fold models' averaged answers on the simulated test clips (one set of 11 actors: its standard error is about
.02).
Strengths were set beforehand ({", ".join(f"{k} {v:g}" for k, v in ADAPTATIONS.items() if v)}), not searched.

{table(["shift", "standardize", "adaptation", "gap", "closed", "test Score"], rows)}"""
    print(write_report("domain_gap", "What closes the planted domain gap", body).read_text())


def _gap(config: Config, dataset: Dataset, cache: FeatureCache) -> float:
    device = torch.device("cpu")
    shape = stack_shape(config, dataset)
    replicas = build_replicas(0, config, dataset)
    stack = Stack(replicas, shape, tuple(dataset.encoders), dataset.clips, FeatureBank(dataset, cache, device), device)
    for _ in range(config.train.epochs):
        stack.train_epoch()
    each = []
    for row, fold in enumerate(dataset.clips.folds):
        held_out = stack.plan.held_out[fold]
        both = np.concatenate([held_out, dataset.clips.target])
        clips = torch.from_numpy(np.tile(both, (len(replicas), 1)))
        rows = stack.inputs.rows(range(len(replicas)))
        with torch.no_grad():
            features, available = stack.inputs.gather(clips, rows)
            output = stack.model(features, available, stack.inputs.prediction_noise("gap", len(both)))
        feature = output.fused_feature[row].numpy()
        domain = np.arange(len(both)) >= len(held_out)
        model = LogisticRegression(C=0.1, max_iter=300)
        # Blocks by position: neighbouring clips are of one actor, so the classifier must generalise to other actors
        told = cross_val_predict(model, feature, domain, cv=_by_block(domain), method="decision_function")
        each.append(2 * (roc_auc_score(domain, told) - 0.5))
    return float(np.mean(each))


def _by_block(domain: np.ndarray, n_blocks: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    block = np.empty(len(domain), int)
    for side in (False, True):
        mine = np.flatnonzero(domain == side)
        block[mine] = np.arange(len(mine)) * n_blocks // len(mine)
    return [(np.flatnonzero(block != b), np.flatnonzero(block == b)) for b in range(n_blocks)]


def _test_score(config: Config, dataset: Dataset, cache: FeatureCache, answer: np.ndarray) -> float:
    (result,) = train_configurations([config], dataset, cache, keep_weights=False)
    truth = dataset.clips.state[: dataset.clips.n_source]
    decoder = build_decoder(BLEMORE, "official")
    parameters = decoder.fit(Outputs.of_probabilities(result.fused[0]), truth)
    mixed = Outputs.of_probabilities(result.target_fused.mean((0, 1)))
    return score(BLEMORE, answer, decoder.decode(mixed, parameters)).score


if __name__ == "__main__":
    main()
