"""A search space over one data folder's encoders: the parameters a sampler sees."""

import itertools
import math
import random
from collections.abc import Sequence

from rfe.config.fields import locate
from rfe.config.load import build_config, field_values
from rfe.errors import ConfigError, gather
from rfe.search_space.check import dimension_of, order_by_condition
from rfe.search_space.dimensions import ARM, POOL_PREFIX, Dimension, ResolvedSpace, Value
from rfe.search_space.effective import effective_config, unknown_encoders
from rfe.search_space.schema import SearchSpace
from rfe.suggestions import unknown

CHECKED_POINTS = 400


def resolve(space: SearchSpace, encoders: Sequence[str]) -> ResolvedSpace:
    """Resolve the space for a data set: `all` becomes the data's encoders, every parameter's range is fixed.

    Args:
        space: from `load_space`.
        encoders: names of the data's encoders.

    Raises:
        ConfigError: an encoder that the data does not have (with the nearest it has), a smallest pool that is larger
            than the data, or values that are searched together but go together in no configuration.

    Examples:
        >>> from rfe.search_space.load import load_space
        >>> lines = {"pool": {"subset": "all"}, "model.n_kept": {"int": [1, 2]}}
        >>> resolved = resolve(load_space({"study": "first", "space": lines}), ["voice", "face"])
        >>> [dimension.name for dimension in resolved.dimensions]
        ['pool.face', 'pool.voice', 'model.n_kept']
    """
    known = tuple(sorted(encoders))
    heading = f"search space {space.study}"
    base = build_config(space.base, f"{heading}: base")
    problems = [f"base.{problem}" for problem in unknown_encoders(field_values(base), known)]
    dimensions: dict[str, Dimension] = {}
    min_size = 1
    pool: tuple[str, ...] = ()
    for name, spec in space.space.items():
        located = locate(name)
        if spec.subset is not None:
            pool = known if spec.subset == "all" else tuple(spec.subset)
            min_size = spec.min_size or 1
            problems += [f"space.pool: {unknown('encoder', one, known)}" for one in pool if one not in known]
            if min_size > len(pool):
                problems.append(f"space.pool: min_size {min_size} is more than the data's {len(pool)} encoders")
            continue
        if located is not None and located[1] is not None and located[1] not in known:
            problems.append(f"space.{name}: {unknown('encoder', located[1], known)}")
        dimensions[name] = dimension_of(name, spec)
    first_trials = []
    for index, trial in enumerate(space.first_trials):
        params = {name: value for name, value in trial.items() if name != "pool"}
        if "pool" in trial:
            chosen = pool if trial["pool"] == "all" else trial["pool"]
            problems += [f"first_trials[{index}].pool: {unknown('encoder', e, pool)}" for e in chosen if e not in pool]
            params |= {POOL_PREFIX + encoder: encoder in chosen for encoder in pool}
        first_trials.append(params)
    gather(problems, ConfigError, heading)
    booleans = tuple(Dimension(POOL_PREFIX + encoder, "choice", choices=(False, True)) for encoder in pool)
    ordered, _ = order_by_condition(dimensions)
    if space.arms:
        ordered = [Dimension(ARM, "choice", choices=tuple(space.arms))]
    resolved = ResolvedSpace((*booleans, *ordered), base, known, min_size, tuple(first_trials), space.arms)
    for arm in space.arms:
        try:
            effective_config(resolved, {ARM: arm})
        except ConfigError as error:
            problems.append(f"arms.{arm}: {str(error).split(': ', 1)[-1]}")
    gather(problems, ConfigError, heading)
    gather(_combinations(resolved), ConfigError, heading)
    return resolved


def sample_params(resolved: ResolvedSpace, rng: random.Random) -> dict[str, Value]:
    """Draw one random point; `--dry-run` shows a few.

    Examples:
        >>> from rfe.search_space.load import load_space
        >>> space = load_space({"study": "first", "space": {"model.n_kept": {"int": [1, 3]}}})
        >>> sample_params(resolve(space, ["face", "voice", "text"]), random.Random(0))
        {'model.n_kept': 2}
    """
    params: dict[str, Value] = {}
    for dimension in resolved.dimensions:
        if dimension.kind == "choice":
            params[dimension.name] = rng.choice(dimension.choices)
            continue
        low, high = float(dimension.low or 0), float(dimension.high or 0)
        if dimension.log:
            value = min(high, max(low, math.exp(rng.uniform(math.log(low), math.log(high)))))
        elif dimension.step is not None:
            value = low + dimension.step * rng.randint(0, int((high - low) / dimension.step + 1e-9))
        else:
            value = rng.uniform(low, high) if dimension.kind == "float" else rng.randint(int(low), int(high))
        params[dimension.name] = round(value) if dimension.kind == "int" else value
    return params


def alike_values(resolved: ResolvedSpace) -> tuple[str, ...]:
    """Sentences on values that are searched but train the same, whatever else is drawn: `n_kept` beyond the pool."""
    name = "model.n_kept"
    base = resolved.base.pool
    most = len(resolved.pool_encoders or (resolved.encoders if base == "all" else base))
    for dimension in resolved.dimensions:
        if dimension.name != name or dimension.kind != "int" or (dimension.high or 0) <= most:
            continue
        first = max(most, int(dimension.low or 1))
        return (
            f"space.{name}: {dimension.describe()}, but there are {most} encoders to keep: all values from {first} on "
            f"train the same; {most} is enough as the highest",
        )
    return ()


def space_size(resolved: ResolvedSpace) -> int | None:
    """Count the points of the space; None where a parameter is continuous.

    Examples:
        >>> from rfe.search_space.load import load_space
        >>> lines = {"model.n_kept": {"int": [1, 3]}, "model.gate.kind": {"choice": ["attention", "static"]}}
        >>> space_size(resolve(load_space({"study": "first", "space": lines}), ["face", "text", "voice"]))
        6
    """
    size = 1
    for dimension in resolved.dimensions:
        if dimension.kind == "choice":
            size *= len(dimension.choices)
        elif dimension.kind == "int" or dimension.step is not None:
            size *= int((float(dimension.high or 0) - float(dimension.low or 0)) / (dimension.step or 1) + 1e-9) + 1
        else:
            return None
    return size


def _combinations(resolved: ResolvedSpace) -> list[str]:
    """Sentences on values that are searched together but that no configuration allows together.

    All combinations of the ranges' ends are built where they are few, else a fixed random choice of them.
    """
    ends = [d.corners() if not d.name.startswith(POOL_PREFIX) else (True,) for d in resolved.dimensions]
    names = [d.name for d in resolved.dimensions]
    if math.prod(map(len, ends)) <= CHECKED_POINTS:
        points = list(itertools.product(*ends))
    else:
        rng = random.Random(0)
        points = [tuple(rng.choice(values) for values in ends) for _ in range(CHECKED_POINTS)]
    found: dict[str, None] = {}
    for point in points:
        try:
            effective_config(resolved, dict(zip(names, point, strict=True)))
        except ConfigError as error:
            sentence = str(error).split(": ", 1)[1]
            found[f"{sentence}; both are searched, so add a `when` that keeps them apart"] = None
    return list(found)[:5]
