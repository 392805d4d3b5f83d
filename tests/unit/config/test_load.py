"""Configurations: nested and dotted names, every problem at once, and back to YAML."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from rfe.config.fields import FIELDS, check_value
from rfe.config.load import change_config, dump_config, flatten, load_config
from rfe.config.reading import write_yaml
from rfe.config.schema import LARGEST_SEED, Config
from rfe.errors import ConfigError
from rfe.suggestions import nearest


def refuse(given: dict[str, Any], overrides: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(given, overrides)
    return str(caught.value)


def test_nested_and_dotted_names_mean_the_same() -> None:
    nested = load_config({"train": {"lr": 0.01, "epochs": 3}, "model": {"gate": {"kind": "static"}}})
    dotted = load_config({"train.lr": 0.01, "train": {"epochs": 3}, "model": {"gate.kind": "static"}})
    assert nested == dotted
    assert dotted.train.epochs == 3
    assert dotted.model.gate.kind == "static"


def test_a_map_by_encoder_may_be_dotted_also_with_dots_in_the_name() -> None:
    config = load_config({"data.standardize.wav2vec2.0": "fold", "data": {"standardize": {"mfcc": "actor"}}})
    assert config.data.standardize == {"wav2vec2.0": "fold", "mfcc": "actor"}


def test_overrides_win() -> None:
    config = load_config({"train.lr": 0.01, "pool": ["a"]}, ["train.lr=1e-4", "pool=[b, c]", "data.reduce.b=8"])
    assert (config.train.lr, config.pool, config.data.reduce) == (1e-4, ["b", "c"], {"b": 8})


def test_all_problems_come_at_once_with_field_value_and_remedy() -> None:
    message = refuse(
        {
            "lr": 3,
            "modle": {},
            "train": {"epochs": 0, "batch_size": 2.5, "lr": -1},
            "model.gate.kind": "statik",
            "model.n_kept": "some",
            "data.standardize": {"mfcc": "both"},
            "adaptation": 3,
        },
        ("train.sched=constant",),
    )
    for part in (
        "10 problems",
        "unknown field 'lr'; did you mean train.lr?",
        "unknown field 'modle'; did you mean model?",
        "adaptation: 3 is not a map; its fields are adaptation.kind",
        "--set unknown field 'train.sched'; did you mean train.schedule?",
        "train.epochs: 0 is not allowed; it must be a whole number of at least 1",
        "train.batch_size: 2.5 is not allowed; it must be a whole number of at least 2",
        "train.lr: -1 is not allowed; it must be a number above 0",
        "model.gate.kind: 'statik' is not allowed",
        "did you mean static?",
        "model.n_kept: 'some' is not allowed; it must be a whole number of at least 1 and at most 2147483647, or 'all'",
        "data.standardize: {'mfcc': 'both'} is not allowed; it must be one of fold, actor, or a map",
    ):
        assert part in message


@pytest.mark.parametrize("name", ["train.seed", "train.data_seed"])
@pytest.mark.parametrize("value", [2**32, 2**63, 2**64, -1, 0.5, True])
def test_seeds_fit_every_generator(name: str, value: Any) -> None:
    """2**64 was taken, and overflowed when the trial was trained."""
    assert f"{name}: {value} is not allowed; it must be a whole number of at least 0 and at most 4294967295" in refuse(
        {name: value}
    )
    assert load_config({name: LARGEST_SEED})


WHOLE_NUMBERS = [name for name, field in FIELDS.items() if int in (field.annotation, *get_args(field.annotation))]


@pytest.mark.parametrize("name", [*WHOLE_NUMBERS, "data.reduce"])
def test_whole_numbers_end_where_tensors_do(name: str) -> None:
    assert f"{name}: {2**64} is not allowed" in refuse({name: 2**64})


def test_types_are_not_cast() -> None:
    assert "train.lr: '0.1' is not allowed" in refuse({"train.lr": "0.1"})
    assert "train.epochs: True is not allowed" in refuse({"train.epochs": True})
    assert load_config({"train.lr": 1}).train.lr == 1.0


def test_checks_between_fields_are_reported() -> None:
    assert "needs adaptation.kind: dann, not coral" in refuse(
        {"adaptation.kind": "coral", "adaptation.domains": "actors"}
    )


def test_a_field_given_nested_and_dotted_is_refused() -> None:
    assert "train.lr: is given twice" in refuse({"train.lr": 0.1, "train": {"lr": 0.2}})
    assert "data.standardize: is given twice" in refuse({"data.standardize": "fold", "data.standardize.a": "actor"})
    assert "data.standardize is 'actor' for every encoder" in refuse(
        {"data.standardize": "actor"}, ("data.standardize.mfcc=fold",)
    )


def test_flatten_is_read_back() -> None:
    config = load_config({"data.standardize": {"b": "fold", "a": "actor"}, "pool": ["b", "a"], "data.reduce": {}})
    flat = flatten(config)
    assert flat["data.standardize.a"] == "actor"
    assert flat["pool"] == ["b", "a"]
    assert set(flat) >= set(FIELDS) - {"data.standardize"}
    assert load_config(flat) == config


def test_a_dumped_file_is_read_back(tmp_path: Path) -> None:
    config = load_config({"train.lr": 1e-7, "train.weight_decay": 1e20, "pool": ["off", "1e-3", "no"]})
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["train"]["lr"] == 1e-7


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"train.lr": 1e-7, "pool": ["off", "1e-3", "no", "a b", "ü"]},
        {"data.standardize": {"a": "actor"}},
        {"pool": ["a\x85b", "a\nb", "a\u2028b"]},  # which `repr` shows in ASCII
    ],
)
def test_the_fast_dump_is_the_same_text(fields: dict[str, Any]) -> None:
    config = load_config(fields)
    assert dump_config(config) == write_yaml(config.model_dump())


def test_a_files_name_stands_in_its_message(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("train: {epoch: 3}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml: unknown field 'train\.epoch'; did you mean train\.epochs\?"):
        load_config(path)


def test_a_search_space_is_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("study: s\nspace: {train.lr: {float: [0.1, 1.0]}}\nbudget: {trials: 3}\n", encoding="utf-8")
    said = r"space.yaml: has study or space, so it is a search space .*; search it with `rfe search`$"
    with pytest.raises(ConfigError, match=said):
        load_config(path)


def test_what_belongs_to_a_search_is_sent_there() -> None:
    message = refuse({}, ("data.encoders=[a]",))
    assert "--set unknown field 'data.encoders'; it is no field of a configuration but a search's" in message
    assert "did you mean data.target_actors" not in message


def test_a_changed_configuration_is_checked_again() -> None:
    assert change_config(Config(), {"train.lr": 0.5, "data.reduce.a": 3}).data.reduce == {"a": 3}
    with pytest.raises(ConfigError, match=r"train\.lr: -1 is not allowed"):
        change_config(Config(), {"train.lr": -1})


@pytest.mark.parametrize(
    ("name", "value", "fine"),
    [
        ("train.lr", 1, True),
        ("train.lr", 0.0, False),
        ("model.n_kept", "all", True),
        ("model.n_kept", 0, False),
        ("decode.kind", "decoupled", True),
        ("protocol", "official", True),  # what it goes with is another matter
        ("data.standardize.mfcc", "actor", True),
        ("data.standardize.mfcc", "x", False),
        ("data.standardize.mfcc", None, False),
        ("data.reduce.mfcc", None, True),
        ("data.reduce.mfcc", 0, False),
        ("nothing", 0, False),
    ],
)
def test_one_value_can_be_checked_alone(name: str, value: Any, fine: bool) -> None:
    assert (check_value(name, value) is None) == fine


def test_the_nearest_name_is_equal_in_its_last_part_or_spelt_alike() -> None:
    assert nearest("lr", FIELDS) == "train.lr"
    assert nearest("model.presence_weight", FIELDS) == "model.head_fusion.presence_weight"
    assert nearest("fusion.kind", FIELDS) == "model.fusion.kind"
    assert nearest("train.epoch", FIELDS) == "train.epochs"
    assert nearest("zzzzzz", FIELDS) is None
