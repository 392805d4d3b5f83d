"""A configuration with the design decoder is answered by its folds' own designs, or refused before it trains."""

from pathlib import Path

import numpy as np
import pytest

from rfe.config.load import change_config, load_config
from rfe.config.schema import Config
from rfe.data.dataset import Dataset, load_dataset
from rfe.decoding.base import Outputs
from rfe.decoding.design import DesignDecoder
from rfe.decoding.fitting import crossfit_decode
from rfe.errors import ConfigError
from rfe.training.build import build_replicas
from rfe.training.scoring import OutOfFold, answer, answer_with
from tests.unit.data.folders import Row, make_folder
from tests.unit.data.test_design import draw_labels
from tests.unit.ensemble.studies import make_outputs

DESIGN = change_config(Config(), {"decode.design": "actor"})


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return load_dataset(make_folder(tmp_path / "data"))


def drawn(dataset: Dataset) -> OutOfFold:
    arrays = make_outputs(dataset, 2, noise=6.0)
    return OutOfFold(*(arrays[name] for name in ("presence_logits", "salience_logits", "fused")))


def test_each_fold_is_answered_by_the_design_of_the_others(dataset: Dataset) -> None:
    own, clips = drawn(dataset), dataset.clips
    plain, matched = answer([Config(), DESIGN], [own, own], clips)
    assert (plain.predicted_state != matched.predicted_state).any()
    truth, fold, actor = (values[: clips.n_source] for values in (clips.state, clips.fold, clips.actor))
    outputs = Outputs(own.presence_logits, own.salience_logits, own.fused, "bce")
    expected, _ = crossfit_decode(DesignDecoder(clips.task, 0.5, actor), outputs, truth, fold)
    np.testing.assert_array_equal(matched.predicted_state, expected)
    np.testing.assert_array_equal(answer_with(DESIGN, own, [own], clips)[0], expected)


def test_of_the_folds_that_count_the_others_alone_tell_the_design(dataset: Dataset) -> None:
    own, clips = drawn(dataset), dataset.clips
    (found,) = answer([DESIGN], [own], clips, [(0, 2)])
    assert (found.predicted_state[:, clips.fold[: clips.n_source] == 1] == -1).all()
    changed = clips.state.copy()
    changed[clips.fold == 1] = 0
    object.__setattr__(clips, "state", changed)  # what is not counted yet is not looked at
    np.testing.assert_array_equal(answer([DESIGN], [own], clips, [(0, 2)])[0].predicted_state, found.predicted_state)


def test_it_is_refused_before_training_where_actors_or_shares_are_not_known(tmp_path: Path) -> None:
    def hide_target(rows: list[Row]) -> None:
        for row in rows:
            row["video_id"] = row["video_id"] if row["split"] == "train" else ""

    free = load_dataset(make_folder(tmp_path / "free", spoil=draw_labels))
    with pytest.raises(ConfigError, match=r"decode.design: actor: .* design spread is.*; set decode.design: none"):
        build_replicas(0, DESIGN, free)
    build_replicas(0, Config(), free)
    hidden = load_dataset(make_folder(tmp_path / "hidden", spoil=hide_target))
    with pytest.raises(ConfigError, match=r"decode.design: actor: .* taken as unknown .*needs video_id"):
        build_replicas(0, DESIGN, hidden)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"decode.kind": "official"}, "decode.kind: official does not have; use decode.kind: valid_states"),
        ({"decode.kind": "decoupled"}, "decode.kind: decoupled does not have"),
        ({"data.target_actors": "pseudo"}, "data.target_actors: pseudo .*; use data.target_actors: known"),
        ({"data.target_actors": "unknown"}, "data.target_actors: unknown takes new clips' actors as not known"),
    ],
)
def test_what_cannot_go_with_it_is_refused_by_the_configuration(other: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config({"decode.design": "actor", **other})
