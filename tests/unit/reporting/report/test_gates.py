"""What a report says of the gate of each kind of model."""

import re

import numpy as np
import pytest

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.reporting.report.answers import Answers
from rfe.reporting.report.document import Table, Text
from rfe.reporting.report.gates import GateOutputs, gate_blocks, noticed_blocks
from tests.unit.training.stacks import NAMES, make_clips


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model.n_kept": 2}, r"The gate \(attention\) keeps 2 of 3 encoders"),
        ({"model.kind": "kernel"}, r"kernels \(as given\): a global selection, the same for every clip"),
        (
            {"model.kind": "kernel", "model.kernel.weighting": "alignment"},
            r"kernels \(aligned with the labels of the training clips\): a global selection",
        ),
        ({"model.kind": "gated_kernel"}, r"encoders' kernel ridges \(each clip's own\)"),
        (
            {"model.kind": "gated_kernel", "model.gated_kernel.gate": "fixed"},
            r"encoders' kernel ridges \(the same for every clip of a fold\)",
        ),
        ({"model.kind": "boosting"}, "model.kind: boosting has no gate"),
        ({"model.kind": "concat_mlp"}, "model.kind: concat_mlp has no gate"),
    ],
)
def test_only_a_gate_is_called_one(changes: dict[str, object], words: str) -> None:
    """Of a model without a gate it was said that the attention gate keeps every encoder."""
    clips = make_clips()
    shape = (1, clips.n_source, len(NAMES))
    scores = np.tile(np.log([0.5, 0.25, 0.25]), (1, clips.n_source, 1))
    outputs = GateOutputs(NAMES, np.ones(shape, bool), scores)
    answers = Answers(clips, clips.state[None, : clips.n_source])
    text, _, table = gate_blocks(outputs, [change_config(Config(), changes)], answers, "")
    assert isinstance(text, Text)
    assert isinstance(table, Table)
    assert re.search(words, text.words)
    weights = {row[0]: row[-1] for row in table.rows if row[1] == "weight"}
    assert weights == {name: pytest.approx(share) for name, share in zip(NAMES, (0.5, 0.25, 0.25), strict=True)}


def test_wrong_features_have_their_own_column() -> None:
    clips = make_clips()
    n = clips.n_source
    wrong = np.zeros((n, len(NAMES)), bool)
    wrong[::3, 0] = True
    scores = np.zeros((1, n, len(NAMES)))
    scores[0, ::3, 0] = np.log(0.5)  # half of the others' weight where it is wrong
    kept = np.ones((1, n, len(NAMES)), bool)
    (table,) = noticed_blocks(GateOutputs(NAMES, kept, scores), wrong, [Config()], "")
    assert isinstance(table, Table)
    ((name, *cells),) = table.rows  # the others have no wrong features
    assert name == NAMES[0]
    assert cells == pytest.approx([0.2, 1 / 3, 1.0, 1.0])
    nothing = np.full_like(scores, -np.inf)
    assert list(noticed_blocks(GateOutputs(NAMES, kept, nothing), wrong, [Config()], "")) == []  # no gate
