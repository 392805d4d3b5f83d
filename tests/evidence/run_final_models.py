"""Models trained on all clips against the cross-validation's own, on actors that neither saw.

`python -m tests.evidence.run_final_models [--tiny] [SHIFT ...]`, all three where none is named. Each set is kept beside
the report when it is done, so the script can be stopped and run again; the report is made of the sets there are; each
says how long it took. `--tiny` runs everything small, in a place of its own, to see that it runs: 2 s a set.
"""

import sys
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.data.folds import ALL_TRAIN
from rfe.decoding.base import Outputs
from rfe.ensemble.calibrated import Truth
from rfe.ensemble.candidates import Candidate, outputs_of
from rfe.ensemble.prediction import EnsembleDecoder, fit_decoder
from rfe.ensemble.selection import Member
from rfe.metrics.intervals import InfluenceTable, difference_interval, score_interval
from rfe.task import BLEMORE
from rfe.training.configurations import train_configurations
from rfe.training.record import FoldPart, TrialResult
from rfe.training.scoring import log_set_weights, presence_kind
from tests.evidence.parts import hits_by_actor, join_tables, make_part, read_parts
from tests.evidence.simulated import report_folder, simulated_set, table, write_report

SHIFTS = ("none", "mild", "strong")
SETS = (41, 42)
SIZE = {"actors": 20, "clips_per_actor": 30, "test_actors": 100}
TINY_SIZE = {"actors": 10, "clips_per_actor": 20, "test_actors": 10}
TINY = {"train.epochs": 2, "model.latent_dim": 8, "train.seeds": 2}
BASE: dict[str, Any] = {
    "train.epochs": 15,
    "model.latent_dim": 32,
    "model.dropout": 0.4,
    "train.seeds": 3,
    "loss.presence": "states",
}
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


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    tiny = "--tiny" in arguments
    shifts = [one for one in arguments if one != "--tiny"]
    if unknown := set(shifts) - set(SHIFTS):
        raise SystemExit(f"unknown shift {', '.join(sorted(unknown))}; use {', '.join(SHIFTS)}")
    folder = report_folder("final_models", tiny=tiny)
    for shift in shifts or SHIFTS:
        for seed in SETS:
            make_part(folder / "parts" / f"{shift}-{seed}.json", partial(_measure, shift, seed, tiny))
            parts = read_parts(folder / "parts")
            rows = [
                {"shift": one, "set": number, **row}
                for one in SHIFTS
                for number in SETS
                for row in parts.get(f"{one}-{number}", {"result": []})["result"]
            ]
            title = "Final models: all clips, or the folds' own"
            path = write_report("final_models", title, _body(rows, tiny), tiny=tiny)
    print(path.read_text())


def _measure(shift: str, seed: int, tiny: bool) -> list[dict[str, Any]]:
    dataset, cache, truth = simulated_set(shift=shift, seed=seed, **(TINY_SIZE if tiny else SIZE))
    clips = dataset.clips
    state = np.array([BLEMORE.state_index(truth["test_labels"][str(name)]) for name in clips.filename[clips.target]])
    found = []
    for kind, changes in KINDS.items():
        config = change_config(Config(), BASE | (TINY if tiny else {}) | changes)
        (crossfit,) = train_configurations([config], dataset, cache, keep_weights=False)
        parts = {0: FoldPart((ALL_TRAIN,))}
        (final,) = train_configurations([config], dataset, cache, keep_weights=False, parts=parts)
        outputs = outputs_of(crossfit, config, dataset)
        member = Member(Candidate("evidence", 0, config, "", crossfit.score), 1.0, 1.0)
        decoder = fit_decoder([member], [outputs], Truth.of(dataset), "states")
        assert isinstance(decoder, EnsembleDecoder)
        found.append(
            {
                "kind": kind,
                "crossfit": crossfit.score,
                **{
                    name: hits_by_actor(state, _answers(decoder, one, config, dataset), clips.actor[clips.target])
                    for name, one in (("folds", crossfit), ("final", final))
                },
            }
        )
    return found


def _answers(decoder: EnsembleDecoder, result: TrialResult, config: Config, dataset: Dataset) -> NDArray[np.int64]:
    """[test clip] what the average of the result's models answers."""
    (own,) = decoder.members
    offset = log_set_weights(config, dataset.clips, result.folds.tolist())
    outputs = Outputs(
        result.target_presence_logits, result.target_salience_logits, result.target_fused, presence_kind(config)
    )
    return replace(decoder, members=(replace(own, set_offset=offset),)).decode([outputs]).state


def _tables(rows: list[dict[str, Any]]) -> tuple[InfluenceTable, InfluenceTable]:
    """Hits of the folds' models and of the final models, on the test clips of all sets; each set has its own actors."""
    folds, final = (join_tables([row[name] for row in rows]) for name in ("folds", "final"))
    return folds, final


def _body(rows: list[dict[str, Any]], tiny: bool) -> str:
    lines, differences = [], []
    for kind in KINDS:
        for shift in dict.fromkeys(row["shift"] for row in rows):
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
    n_folds, size, seeds = 5, TINY_SIZE if tiny else SIZE, (BASE | (TINY if tiny else {}))["train.seeds"]
    return f"""{len(SETS)} simulated sets for each shift: {size["actors"]} training actors in {n_folds} folds,
{size["clips_per_actor"]} clips each, {size["test_actors"]} test actors that are drawn anew. The folds' models are
{n_folds} x {seeds} models of four fifths of the actors; the final ones are {seeds} of all
actors, with the folds' optimiser steps scaled by the clips, adapted to the test clips where there is adaptation. One
decoder for both: by states, fitted on out-of-fold outputs averaged over {seeds} seeds. Score, 95%
intervals over test actors; the difference is paired by clip. Mean of all {len(differences)} differences:
{np.mean(differences):+.4f} (standard deviation {np.std(differences, ddof=1):.4f}).

{table(header, lines)}"""


if __name__ == "__main__":
    main(sys.argv[1:])
