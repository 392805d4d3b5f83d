"""Does the search leave out encoders that carry nothing? Noise encoders in the pools of the best trials."""

import numpy as np

from rfe import api
from rfe.reporting.studies import find_study
from rfe.tracking.base import TrialLog
from rfe.tracking.records import read_events
from rfe.workspace import open_workspace
from tests.evidence.simulated import SCRATCH, simulated_set, table, write_report

SEEDS = 5
TRIALS = 60


def main() -> None:
    dataset, _, truth = simulated_set(seed=13)
    workspace = open_workspace(SCRATCH / "workspace")
    names = list(dataset.encoders)
    best_tenth, all_trials = [], []
    for seed in range(SEEDS):
        api.search(
            "encoder_pool",
            dataset.path,
            study=f"noise-encoders-{seed}",
            trials=TRIALS,
            seed=seed,
            workers=2,
            overrides=("train.epochs=15", "confirm.top=0", f"data.encoders=[{', '.join(names)}]"),
            workspace=workspace,
        )
        folder = find_study(workspace, f"noise-encoders-{seed}")
        trials = [log for log in read_events(folder) if isinstance(log, TrialLog) and log.state == "complete"]
        ranked = sorted(trials, key=lambda log: -log.scores["score"])
        best_tenth.append([_pool(log) for log in ranked[: TRIALS // 10]])
        all_trials.append([_pool(log) for log in trials])
        print(seed, len(trials), flush=True)
    rows = []
    for name in names:
        best = [np.mean([name in pool for pool in pools]) for pools in best_tenth]
        every = [np.mean([name in pool for pool in pools]) for pools in all_trials]
        kind = truth["encoders"][name]["kind"]
        rows.append([name, kind, f"{np.mean(best):.2f}", " ".join(f"{b:.2f}" for b in best), f"{np.mean(every):.2f}"])
    body = f"""`search_spaces/encoder_pool.yaml`, {TRIALS} trials, {SEEDS} search seeds. Share of the best tenth of
trials whose pool has the encoder, mean and for each seed; and its share in all trials. By chance an encoder is in about
{_chance(len(names)):.2f} of the pools (every subset that is not empty alike).

{table(["encoder", "kind", "best tenth", "by seed", "all trials"], rows)}"""
    print(write_report("noise_encoders", "Noise encoders in the best pools", body).read_text())


def _pool(log: TrialLog) -> list[str]:
    return list(log.config["pool"])


def _chance(n_encoders: int, smallest: int = 1) -> float:
    generator = np.random.default_rng(0)
    drawn = generator.random((20_000, n_encoders)) < 0.5
    return float(drawn[drawn.sum(1) >= smallest].mean())


if __name__ == "__main__":
    main()
