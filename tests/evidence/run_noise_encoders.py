"""Does the search leave out encoders that carry nothing? Noise encoders in the pools of the best trials."""

import numpy as np

from rfe import api
from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.journal.events import TrialLog
from rfe.journal.records import read_events
from rfe.training.configurations import train_configurations
from rfe.workspace import find_study, open_workspace
from tests.evidence.simulated import SCRATCH, simulated_set, table, write_report

SEEDS = 5
TRIALS = 60
DIRECT_SEEDS = 3
Pools = list[list[str]]


def main() -> None:
    dataset, cache, truth = simulated_set(seed=13)
    names = list(dataset.encoders)
    cases = (("with its first trial (all encoders)", "first", ()), ("without it", "none", ("first_trials=[]",)))
    sections = []
    for title, tag, overrides in cases:
        best_tenth, all_trials = _search_pools(dataset, tag, overrides)
        rows = []
        for name in names:
            best = [np.mean([name in pool for pool in pools]) for pools in best_tenth]
            every = [np.mean([name in pool for pool in pools]) for pools in all_trials]
            kind, shares = truth["encoders"][name]["kind"], " ".join(f"{b:.2f}" for b in best)
            rows.append([name, kind, f"{np.mean(best):.2f}", shares, f"{np.mean(every):.2f}"])
        header = ["encoder", "kind", "best tenth", "by seed", "all trials"]
        sections.append(f"The space {title}:\n\n{table(header, rows)}")
    compared = _with_and_without(dataset, cache)
    body = f"""`search_spaces/encoder_pool.yaml`, {TRIALS} trials, {SEEDS} search seeds. Share of the best tenth of
trials whose pool has the encoder, mean and for each seed; and its share in all trials. By chance an encoder is in about
{_chance(len(names)):.2f} of the pools (every subset that is not empty alike).

{(chr(10) * 2).join(sections)}

The expectation was that noise falls below chance. Where a table says it does not, this is why: a first trial that
has the pool of all encoders is where TPE stays, and the pool has next to no effect on the score. Trained directly,
{DIRECT_SEEDS} seeds each, all else equal:

{table(["pool", "n_kept", "Score", "noise kept"], compared)}

So a noise encoder costs next to nothing (where two are kept the gate all but never keeps it), and a search has no
reason to drop it."""
    print(write_report("noise_encoders", "Noise encoders in the best pools", body).read_text())


def _search_pools(dataset: Dataset, tag: str, overrides: tuple[str, ...]) -> tuple[list[Pools], list[Pools]]:
    """The pools of the best tenth of trials, and of all, for each search seed."""
    workspace = open_workspace(SCRATCH / "workspace")
    best_tenth, all_trials = [], []
    for seed in range(SEEDS):
        study = f"noise-encoders-{tag}-{seed}"
        api.search(
            "encoder_pool",
            dataset.path,
            study=study,
            trials=TRIALS,
            seed=seed,
            workers=2,
            overrides=("train.epochs=15", "confirm.top=0", *overrides),
            workspace=workspace,
        )
        events = read_events(find_study(workspace, study))
        trials = [log for log in events if isinstance(log, TrialLog) and log.state == "complete"]
        ranked = sorted(trials, key=lambda log: -log.scores["score"])
        best_tenth.append([_pool(log) for log in ranked[: TRIALS // 10]])
        all_trials.append([_pool(log) for log in trials])
        print(study, len(trials), flush=True)
    return best_tenth, all_trials


def _with_and_without(dataset: Dataset, cache: FeatureCache) -> list[list[str]]:
    """Rows: the pool of all encoders and that without noise, with two and with all kept."""
    names = list(dataset.encoders)
    pools = {"all": names, "all but noise": [name for name in names if name != "noise"]}
    cases = [(label, n_kept) for label in pools for n_kept in (2, "all")]
    fixed = {"train.epochs": 15, "train.batch_size": 128, "train.lr": 3.0e-3, "train.weight_decay": 0.05}
    configs = [
        change_config(
            Config(),
            {**fixed, "model.dropout": 0.3, "train.seeds": DIRECT_SEEDS, "pool": pools[label], "model.n_kept": n_kept},
        )
        for label, n_kept in cases
    ]
    results = train_configurations(configs, dataset, cache, threads=1, keep_weights=False)
    return [
        [label, str(n_kept), f"{result.score:.3f}", f"{result.kept_frequency.get('noise', 0.0):.3f}"]
        for (label, n_kept), result in zip(cases, results, strict=True)
    ]


def _pool(log: TrialLog) -> list[str]:
    return list(log.config["pool"])


def _chance(n_encoders: int, smallest: int = 1) -> float:
    generator = np.random.default_rng(0)
    drawn = generator.random((20_000, n_encoders)) < 0.5
    return float(drawn[drawn.sum(1) >= smallest].mean())


if __name__ == "__main__":
    main()
