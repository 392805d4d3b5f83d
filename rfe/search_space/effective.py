"""What a sampled point really trains: the effective configuration, equal for points that train alike.

Pure functions. A sampler draws every dimension at every trial, because a range that depends on another parameter drops
out of joint sampling; what has no effect is dropped here instead.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rfe.config.fields import MAP_FIELDS, locate
from rfe.config.load import build_config, field_values, set_field
from rfe.config.schema import FITTED_KINDS, SCALED_FROM, Config
from rfe.errors import ConfigError, gather
from rfe.search_space.dimensions import ARM, POOL_PREFIX, Dimension, ResolvedSpace, Value
from rfe.suggestions import unknown

DEFAULTS: dict[str, Any] = field_values(Config())
LEFT_OUT: dict[str, Any] = {"data.standardize": "fold", "data.reduce": None, "model.kernel.weights": 1.0}
"""What a map by encoder means for an encoder it does not name."""


def effective_config(resolved: ResolvedSpace, params: Mapping[str, Value]) -> Config:
    """Return the configuration that the point `params` (a value for every dimension) trains.

    The pool is repaired, inactive parameters give way to the base, and the result is normalised (`normalize`).

    Raises:
        ConfigError: the values do not go together.

    Examples:
        >>> from rfe.search_space.load import load_space
        >>> from rfe.search_space.resolve import resolve
        >>> space = load_space({"study": "first", "space": {"model.n_kept": {"int": [1, 3]}}})
        >>> effective_config(resolve(space, ["face", "text", "voice"]), {"model.n_kept": 2}).model.n_kept
        2
    """
    values = base_values(resolved)
    if resolved.pool_encoders:
        values["pool"] = repair_pool(resolved, params)
    for dimension in resolved.dimensions:
        if dimension.name.startswith(POOL_PREFIX):
            continue
        if dimension.name == ARM:
            for name, value in resolved.arms[str(params[ARM])].items():
                set_field(values, name, value)
            continue
        # Dimensions stand after those their `when` names, so these have their effective values by now.
        if active(dimension, values):
            set_field(values, dimension.name, params[dimension.name])
    return normalize(build_config(values, "search space"), resolved.encoders)


def counted_values(resolved: ResolvedSpace, params: Mapping[str, Value]) -> dict[str, Value]:
    """Of the point `params` the values that count in the configuration it trains, by dimension.

    A dimension without effect there is left out: one whose `when` does not hold, one of an encoder outside the pool,
    one that `normalize` sets back. `n_kept` is clipped to the pool.
    """
    config = field_values(effective_config(resolved, params))
    counted: dict[str, Value] = {}
    for dimension in resolved.dimensions:
        name, drawn = dimension.name, params[dimension.name]
        if name.startswith(POOL_PREFIX):
            counted[name] = name.removeprefix(POOL_PREFIX) in config["pool"]
        elif name == ARM:
            counted[name] = drawn
        elif active(dimension, config):
            field, encoder = locate(name) or (name, None)
            value = look_up(config, name)
            if field == "model.n_kept" and value == "all":
                value = drawn if drawn == "all" else min(int(drawn or 1), len(config["pool"]))
            elif value != drawn or (encoder is not None and encoder not in config["pool"]):
                continue
            if dimension.holds(value):
                counted[name] = value
    return counted


def find_point(resolved: ResolvedSpace, config: Config, arm: str = "") -> dict[str, Value] | None:
    """Find a point that trains the effective configuration `config`; None if the space has none.

    What has no effect in it has some value of its range. `arm` is the one that was tried, in a space of arms.

    Examples:
        >>> from rfe.search_space.load import load_space
        >>> from rfe.search_space.resolve import resolve
        >>> space = load_space({"study": "first", "space": {"model.n_kept": {"int": [1, 3]}}})
        >>> resolved = resolve(space, ["face", "text"])
        >>> find_point(resolved, effective_config(resolved, {"model.n_kept": 1}))
        {'model.n_kept': 1}
    """
    values = field_values(config)
    params: dict[str, Value] = {}
    for dimension in resolved.dimensions:
        name = dimension.name
        if name.startswith(POOL_PREFIX):
            params[name] = name.removeprefix(POOL_PREFIX) in values["pool"]
        elif name == ARM:
            params[name] = arm
        else:
            value = look_up(values, name)
            if name == "model.n_kept" and value == "all" and not dimension.holds(value):
                value = max(one for one in dimension.corners() if isinstance(one, int))
            params[name] = value if dimension.holds(value) else dimension.corners()[0]
    try:
        return params if effective_config(resolved, params) == config else None
    except (ConfigError, KeyError):  # KeyError: there is no such arm
        return None


def base_values(resolved: ResolvedSpace) -> dict[str, Any]:
    """Field name -> the base's value, for `set_field` to put searched values into."""
    values = field_values(resolved.base)
    for name in MAP_FIELDS:  # one value for all encoders becomes an entry for each, so that one of them can be searched
        if values[name] is not None and not isinstance(values[name], dict):
            values[name] = dict.fromkeys(resolved.encoders, values[name])
    return values


def active(dimension: Dimension, values: Mapping[str, Any]) -> bool:
    """Whether the dimension counts where the fields its `when` names have these values.

    Examples:
        >>> kept = Dimension("adaptation.strength", "float", 0.1, 1.0, when=(("adaptation.kind", ("coral", "mmd")),))
        >>> active(kept, {"adaptation.kind": "none"}), active(kept, {"adaptation.kind": "mmd"})
        (False, True)
    """
    return all(look_up(values, name) in allowed for name, allowed in dimension.when)


def look_up(values: Mapping[str, Any], name: str) -> Any:
    """The value of a field, or of an encoder's entry in a map; `values` is by field name."""
    field, encoder = locate(name) or (name, None)
    value = values[field]
    if encoder is None or not isinstance(value, dict | None):  # one value for all encoders
        return value
    return (value or {}).get(encoder, LEFT_OUT[field])


def repair_pool(resolved: ResolvedSpace, params: Mapping[str, Value]) -> list[str]:
    """The searched pool. Fewer than `min_size` are filled up with the first encoders (in the subset's order) not in it.

    The rule depends on the pool alone: a point is always repaired to the same pool.
    """
    chosen = [encoder for encoder in resolved.pool_encoders if params[POOL_PREFIX + encoder]]
    missing = [encoder for encoder in resolved.pool_encoders if encoder not in chosen]
    return sorted(chosen + missing[: max(0, resolved.min_size - len(chosen))])


def normalize(config: Config, encoders: Sequence[str]) -> Config:
    """`config` with every field that has no effect at its default; what it trains stays the same.

    The pool is named in sorted order, maps by encoder speak of the pool only, `n_kept` of the pool's size or more is
    `all`. A field is reset only where the model's definition shows that nothing reads it or that its gradient is zero.

    Args:
        config: a configuration.
        encoders: the data's encoders, which `pool: all` means.

    Raises:
        ConfigError: the pool or a map names an encoder that the data does not have.

    Examples:
        >>> config = Config.model_validate({"pool": ["voice", "face"], "model": {"n_kept": 5}})
        >>> same = normalize(config, ["face", "text", "voice"])
        >>> same.pool, same.model.n_kept
        (['face', 'voice'], 'all')
    """
    values = field_values(config)
    pool = sorted(encoders if values["pool"] == "all" else values["pool"])
    gather(unknown_encoders(values, encoders), ConfigError, "configuration")
    values["pool"] = pool
    for name in MAP_FIELDS:
        values[name] = _collapse(values[name], pool, LEFT_OUT[name])
    idle = [*_idle_data(values), *_idle_model(values, len(pool)), *_idle_training(values)]
    return build_config(values | {name: DEFAULTS[name] for name in idle}, "configuration")


def unknown_encoders(values: Mapping[str, Any], encoders: Sequence[str]) -> list[str]:
    """Sentences on encoders that `values` (by field name) speaks of and the data does not have."""
    problems = []
    for name in ("pool", *MAP_FIELDS):
        if isinstance(values[name], list | dict):
            problems += [f"{name}: {unknown('encoder', one, encoders)}" for one in values[name] if one not in encoders]
    return problems


def _collapse(value: Any, pool: list[str], left_out: str | None) -> Any:
    """A map by encoder as one value where the pool agrees, else without the entries that say what leaving out says."""
    if not isinstance(value, dict):
        return value
    of_pool = {encoder: value.get(encoder, left_out) for encoder in pool}
    if len(set(of_pool.values())) == 1:
        return of_pool[pool[0]]
    return {encoder: one for encoder, one in of_pool.items() if one != left_out}


def _idle_data(values: Mapping[str, Any]) -> list[str]:
    idle = []
    by_actor = values["data.standardize"] != "fold"
    if not by_actor and values["decode.design"] == "none":  # statistics of the fold's training clips use no actors
        idle.append("data.target_actors")
    if not by_actor or values["data.target_actors"] != "pseudo":
        idle.append("data.pseudo_clips_per_group")
    return idle


def _idle_model(values: dict[str, Any], pool_size: int) -> list[str]:
    kind = values["model.kind"]
    others = [name for own in FITTED_KINDS if own != kind for name in DEFAULTS if name.startswith(f"model.{own}.")]
    idle = _idle_beside_fitted(values) if kind in FITTED_KINDS else _idle_network(values, pool_size)
    if kind == "kernel":
        idle += _idle_kernel(values, pool_size)
    if kind == "gated_kernel" and values["model.gated_kernel.gate"] == "fixed":
        idle += ["model.gated_kernel.width", "model.gated_kernel.weight_decay"]
    return [*others, *idle]


def _idle_beside_fitted(values: dict[str, Any]) -> list[str]:
    """Of a model that is fitted in one step: all that steers gradient steps, and the parts of a network."""
    values["train.epochs"] = 1
    read = ["model.kind", "loss.balance", "train.epochs", "train.seed", "train.seeds", "train.data_seed"]
    if values["decode.kind"] == "valid_states":
        read.append("model.head_fusion.presence_weight")
    sections, own = ("model.", "loss.", "adaptation.", "train."), f"model.{values['model.kind']}."
    return [name for name in DEFAULTS if name.startswith(sections) and not name.startswith(own) and name not in read]


def _idle_kernel(values: Mapping[str, Any], pool_size: int) -> list[str]:
    if pool_size == 1:
        return ["model.kernel.combination", "model.kernel.weighting", "model.kernel.weights"]
    if values["model.kernel.weighting"] == "alignment" or not isinstance(values["model.kernel.weights"], dict):
        return ["model.kernel.weights"]  # relative: one value for all is 1
    return []


def _idle_network(values: dict[str, Any], pool_size: int) -> list[str]:
    gate = [name for name in DEFAULTS if name.startswith("model.gate.")]
    if values["model.kind"] == "concat_mlp":
        # One hidden layer and one head, trained on its one KL; omega enters `valid_states` decoding only.
        idle = [
            *gate,
            "model.members",
            "model.encoder_dropout",
            "model.n_kept",
            "model.fusion.kind",
            "model.fusion.stage",
            "model.fusion.residual",
            "model.heads.blend",
            "model.heads.ratio",
            "model.head_fusion.kind",
            "loss.presence",
        ]
        idle += [name for name in DEFAULTS if name.startswith("loss.lambda_")]
        return idle if values["decode.kind"] == "valid_states" else [*idle, "model.head_fusion.presence_weight"]
    if values["model.n_kept"] != "all" and values["model.n_kept"] >= pool_size:
        values["model.n_kept"] = "all"
    if values["model.fusion.kind"] == "rank_concat_shuffled" and 1 in (pool_size, values["model.n_kept"]):
        values["model.fusion.kind"] = "rank_concat"  # one place has no order
    idle = []
    if values["model.heads.ratio"] == "difference":
        idle.append("loss.lambda_ratio")
    if values["loss.presence"] == "bce":  # no distribution over sets
        idle.append("model.heads.blend")
    if pool_size == 1:  # the softmax over one encoder is the constant 1
        if values["model.fusion.stage"] != "both":
            return [*idle, *gate, "model.encoder_dropout"]
        idle += ["model.gate.balance_weight", "model.encoder_dropout"]  # it also weighs the early vector
    if values["model.gate.kind"] in ("uniform", "random_top_n"):  # scores that no parameter enters, nor noise
        idle += [name for name in gate if name != "model.gate.kind"]
    if values["model.gate.kind"] == "static":  # depends on the encoder only
        idle.append("model.gate.inputs")
    if values["model.n_kept"] == "all":  # both gradients are that of the softmax
        idle.append("model.gate.gradient")
    return idle


def _idle_training(values: dict[str, Any]) -> list[str]:
    idle = []
    adaptation = [name for name in DEFAULTS if name.startswith("adaptation.")]
    if values["adaptation.kind"] in ("coral", "mmd") and values["adaptation.strength"] == 0:
        values["adaptation.kind"] = "none"
    if values["adaptation.kind"] == "none":
        idle += adaptation
    elif values["adaptation.domains"] == "actors":  # of the supervised batch; nothing else is drawn
        idle += ["adaptation.target", "adaptation.batch"]
    elif values["adaptation.batch"] == max(256, 2 * values["model.latent_dim"]):  # what leaving it out means
        idle.append("adaptation.batch")
    if values["train.average"] == "none":
        idle.append("train.ema_decay")
    if values["train.batch_size"] == SCALED_FROM:
        idle.append("train.lr_scaling")
    if values["decode.kind"] == "valid_states":
        idle.append("decode.thresholds")
    return idle
