"""Does the gate see which encoder is reliable for a clip? Rank correlation with what was planted."""

import numpy as np
from scipy.stats import spearmanr

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.training.configurations import train_configurations
from tests.evidence.simulated import simulated_set, table, write_report

GATES = ("attention", "static", "shuffled")
SEEDS = 5


def main() -> None:
    dataset, cache, truth = simulated_set(seed=11)
    names = list(dataset.encoders)
    clips = dataset.clips
    configs = [
        change_config(
            Config(),
            {
                "model.gate.kind": gate,
                "model.n_kept": 2,
                "train.seeds": SEEDS,
                "train.epochs": 30,
                "train.batch_size": 128,
                "train.weight_decay": 0.1,
                "model.dropout": 0.5,
                "loss.presence": "states",
            },
        )
        for gate in GATES
    ]
    results = dict(zip(GATES, train_configurations(configs, dataset, cache, threads=1), strict=True))
    fold = clips.fold[: clips.n_source]
    planted = {name: np.asarray(truth["clips"]["reliability"][name])[: clips.n_source] for name in names}
    rows = []
    for index, name in enumerate(names):
        row = [name, truth["encoders"][name]["kind"]]
        for gate in GATES:
            scores = results[gate].gate_scores.astype(np.float64)
            if gate == "shuffled":  # what the fusion used: another clip's scores
                generator = np.random.default_rng(0)
                scores = scores.copy()
                for k in clips.folds:
                    scores[:, fold == k] = scores[:, generator.permutation(np.flatnonzero(fold == k))]
            each = [
                _correlation(scores[s, fold == k, index], planted[name][fold == k])
                for s in range(SEEDS)
                for k in clips.folds
            ]
            row.append(f"{np.mean(each):+.3f} ({np.std(each):.3f})")
        row.append(f"{results['attention'].kept_frequency[name]:.2f}")
        rows.append(row)
    body = f"""Within each encoder: Spearman's rank correlation over held-out clips between the gate's score and the
planted reliability rho, mean (sd) over {SEEDS} seeds x 5 folds, computed within a fold. A static gate cannot depend on
the clip; a shuffled gate uses another clip's scores. The last column is how often the attention gate kept the encoder
(two of six are kept). A noise encoder has rho = 0 for every clip, so no correlation is defined.

{table(["encoder", "kind", *GATES, "kept"], rows)}

Crossfit score, mean of {SEEDS} seeds: {", ".join(f"{gate} {results[gate].score:.3f}" for gate in GATES)}."""
    print(write_report("gate_reliability", "Gate scores and planted reliability", body).read_text())


def _correlation(score: np.ndarray, planted: np.ndarray) -> float:
    """0 where either side is constant: no order, no correlation."""
    if np.ptp(score) == 0 or np.ptp(planted) == 0:
        return 0.0
    return float(spearmanr(score, planted).statistic)


if __name__ == "__main__":
    main()
