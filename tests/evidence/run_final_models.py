"""Models trained on all clips against the cross-validation's own, on actors that neither saw.

`python -m tests.evidence.run_final_models`. Parts that are done are kept.
"""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.data.folds import ALL_TRAIN
from rfe.decoding.base import Outputs
from rfe.ensemble.calibrated import Truth
from rfe.ensemble.candidates import Candidate, outputs_of
from rfe.ensemble.prediction import EnsembleDecoder, fit_decoder
from rfe.ensemble.selection import Member
from rfe.labels import state_index
from rfe.metrics.intervals import HitTable, difference_interval, score_interval
from rfe.training.configurations import train_configurations
from rfe.training.record import Part, TrialResult
from rfe.training.scoring import log_set_weights, presence_kind
from rfe.workspace import write_json
from tests.evidence.simulated import SCRATCH, simulated_set, table, write_report

SHIFTS = ("none", "mild", "strong")
SETS = (41, 42, 43)
SIZE = {"actors": 20, "clips_per_actor": 30, "test_actors": 100}
BASE = {"train.epochs": 15, "model.latent_dim": 32, "model.dropout": 0.4, "train.seeds": 3, "loss.presence": "states"}
KINDS: dict[str, dict[str, Any]] = {
    "standardised by actor": {},
    "adapted (CORAL), actors unknown": {
        "data.standardize": "fold",
        "data.target_actors": "unknown",
        "adaptation.kind": "coral",
        "adaptation.strength": 0.3,
        "adaptation.batch": 128,
    },
}


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for shift in SHIFTS:
        for seed in SETS:
            path = SCRATCH / "final_models" / f"{shift}-{seed}.json"
            if not path.exists():
                write_json(path, _measure(*simulated_set(shift=shift, seed=seed, **SIZE)))
                print(f"{shift}, set {seed}: done", flush=True)
            rows += [{"shift": shift, "set": seed, **row} for row in json.loads(path.read_text())]
    title = "Final models: all clips, or the folds' own"
    print(write_report("final_models", title, _body(rows)).read_text())


def _measure(dataset: Dataset, cache: FeatureCache, truth: dict[str, Any]) -> list[dict[str, Any]]:
    clips = dataset.clips
    target = [str(name) for name in clips.filename[clips.target]]
    found = []
    for kind, changes in KINDS.items():
        config = change_config(Config(), BASE | changes)
        (crossfit,) = train_configurations([config], dataset, cache, keep_weights=False)
        parts = {0: Part((ALL_TRAIN,))}
        (final,) = train_configurations([config], dataset, cache, keep_weights=False, parts=parts)
        outputs = outputs_of(crossfit, config, dataset)
        member = Member(Candidate("evidence", 0, config, "", crossfit.score), 1.0, 1.0)
        decoder = fit_decoder([member], [outputs], Truth.of(dataset))
        assert isinstance(decoder, EnsembleDecoder)
        found.append(
            {
                "kind": kind,
                "crossfit": crossfit.score,
                "truth": [state_index(truth["test_labels"][name]) for name in target],
                "actor": clips.actor[clips.target].tolist(),
                "folds": _answers(decoder, crossfit, config, dataset),
                "final": _answers(decoder, final, config, dataset),
            }
        )
    return found


def _answers(decoder: EnsembleDecoder, result: TrialResult, config: Config, dataset: Dataset) -> list[int]:
    """[test clip] what the average of the result's models answers."""
    (own,) = decoder.members
    offset = log_set_weights(config, dataset.clips, result.folds.tolist())
    outputs = Outputs(
        result.target_presence_logits, result.target_salience_logits, result.target_fused, presence_kind(config)
    )
    return replace(decoder, members=(replace(own, set_offset=offset),)).decode([outputs]).state.tolist()


def _tables(rows: list[dict[str, Any]]) -> tuple[HitTable, HitTable]:
    """Hits of the folds' models and of the final models, on the test clips of all sets; each set has its own actors."""
    truth = np.concatenate([row["truth"] for row in rows])
    actor = np.concatenate([np.array(row["actor"]) + 10_000 * row["set"] for row in rows])
    folds, final = (
        HitTable.of_answers(truth, np.concatenate([np.array(row[name]) for row in rows]), actor)
        for name in ("folds", "final")
    )
    return folds, final


def _body(rows: list[dict[str, Any]]) -> str:
    lines, differences = [], []
    for kind in KINDS:
        for shift in SHIFTS:
            mine = [row for row in rows if row["kind"] == kind and row["shift"] == shift]
            folds, final = _tables(mine)
            difference = difference_interval(final, folds)
            low, high = difference.bounds()
            each = [score_interval(b).estimate - score_interval(a).estimate for a, b in (_tables([r]) for r in mine)]
            differences += each
            lines.append(
                [
                    kind,
                    shift,
                    f"{np.mean([row['crossfit'] for row in mine]):.3f}",
                    *(
                        "{:.3f} [{:.3f}, {:.3f}]".format(i.estimate, *i.bounds())
                        for i in map(score_interval, (folds, final))
                    ),
                    f"{difference.estimate:+.3f} [{low:+.3f}, {high:+.3f}]",
                    ", ".join(f"{value:+.3f}" for value in each),
                ]
            )
    header = [
        "configuration",
        "shift",
        "crossfit",
        "folds' models, test",
        "final models, test",
        "final - folds",
        "by set",
    ]
    n_folds = 5
    return f"""{len(SETS)} simulated sets for each shift: {SIZE["actors"]} training actors in {n_folds} folds,
{SIZE["clips_per_actor"]} clips each, {SIZE["test_actors"]} test actors that are drawn anew. The folds' models are
{n_folds} x {BASE["train.seeds"]} models of four fifths of the actors; the final ones are {BASE["train.seeds"]} of all
actors, with the folds' optimiser steps scaled by the clips, adapted to the test clips where there is adaptation. One
decoder for both: by states, fitted on out-of-fold outputs averaged over {BASE["train.seeds"]} seeds. Score, 95%
intervals over test actors; the difference is paired by clip. Mean of all {len(differences)} differences:
{np.mean(differences):+.4f} (standard deviation {np.std(differences, ddof=1):.4f}).

{table(header, lines)}"""


if __name__ == "__main__":
    main()
