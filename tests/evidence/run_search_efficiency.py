"""The yardstick of the search: recorded random configurations of `everything`, and strategies replayed on them.

`python -m tests.evidence.run_search_efficiency record SETTING [--rows N] [--part K/N]` trains, for minutes to hours; it
can be stopped and run again. `... replay` makes the report of the tables there are, in minutes. The folder of real data
sets is `RFE_REAL_DATA`; tables stay in the workspace, as they are made of data that others own.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.search_space import ResolvedSpace, effective_config, find_point, load_space, resolve
from rfe.writing import write_text
from tests.evidence.search_replay import NAMES, Params, Strategy, World, replay, summarise
from tests.evidence.search_tables import draw_points, read_table, record_table, train_shared
from tests.evidence.searched_sets import SETTINGS, SIMULATED, Place, Setting
from tests.evidence.simulated import SCRATCH

EPOCHS = 20
SPACE = Path("search_spaces/everything.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["record", "replay", "seeds"])
    parser.add_argument("settings", nargs="*", metavar="SETTING")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--part", default="0/1", metavar="K/N")
    parser.add_argument("--tiny", action="store_true", help="a quick run that is not kept")
    arguments = parser.parse_args()
    known = {one.name: one for one in (*SETTINGS, *SIMULATED)}
    if wrong := sorted(set(arguments.settings) - set(known)):
        raise SystemExit(f"unknown setting {', '.join(wrong)}; use {', '.join(known)}")
    for name in arguments.settings or known:
        if arguments.action == "record":
            part, of = (int(one) for one in arguments.part.split("/"))
            record(known[name], arguments.rows, (part, of), tiny=arguments.tiny)
        elif arguments.action == "seeds":
            measure_seeds(known[name], tiny=arguments.tiny)
        else:
            replay_setting(known[name], arguments.repetitions, tiny=arguments.tiny)


def table_folder(setting: Setting, *, tiny: bool = False) -> Path:
    return SCRATCH / ("search_tables-tiny" if tiny else "search_tables") / setting.name


def resolve_space(setting: Setting, place: Place, tiny: bool) -> tuple[Dataset, ResolvedSpace]:
    dataset = place.dataset(setting)
    epochs = f"train.epochs={2 if tiny else EPOCHS}"
    space = load_space(SPACE, [epochs, f"base.data.target_actors={setting.target_actors}"])
    return dataset, resolve(space, tuple(dataset.encoders))


def record(setting: Setting, rows: int, part: tuple[int, int], *, tiny: bool) -> None:
    place = Place(tiny)
    dataset, resolved = resolve_space(setting, place, tiny)
    record_table(
        table_folder(setting, tiny=tiny), dataset, FeatureCache(dataset, place.workspace.cache), resolved, rows, part
    )


LIKELIHOOD: dict[str, Any] = {"objective": "log_likelihood"}
FREE: dict[str, Any] = {"free_decoder": True, **LIKELIHOOD}
STRATEGIES = (
    Strategy("random", "random", trials=400),
    Strategy("random, best decoder", "random", free_decoder=True, trials=400),
    Strategy("random, 5 confirmed", "random", trials=400, confirm=5),
    Strategy("tpe, 1 open", open=1),
    Strategy("tpe, 12 open", open=12),
    Strategy("tpe, 64 open", open=64, trials=200),
    Strategy("tpe, 5 confirmed", confirm=5),
    Strategy("tpe, best decoder", free_decoder=True),
    Strategy("tpe, told log-likelihood", **LIKELIHOOD),
    Strategy("tpe, told and chosen by log-likelihood", pick="log_likelihood", **LIKELIHOOD),
    Strategy("tpe, best decoder, told log-likelihood", **FREE),
    Strategy("tpe, best decoder, told log-likelihood, 64 open", open=64, trials=200, **FREE),
    Strategy("tpe, best decoder, told log-likelihood, 5 confirmed", confirm=5, **FREE),
    Strategy("gp, told log-likelihood", "gp", **LIKELIHOOD),
)
POINTS, SEEDS = 8, 6
AT = (10, 25, 50, 100, 200, 400)


def open_world(setting: Setting, *, tiny: bool) -> World | None:
    """The recorded setting; None where nothing is recorded."""
    folder = table_folder(setting, tiny=tiny)
    return World(read_table(folder), resolve_space(setting, Place(tiny), tiny)[1]) if folder.is_dir() else None


def replay_setting(setting: Setting, repetitions: int, *, tiny: bool) -> dict[str, Any] | None:
    """Strategy -> (mean, standard error) of the regret after each of `AT`; and what the table is like."""
    world = open_world(setting, tiny=tiny)
    if world is None:
        return None
    space = load_space(SPACE)
    first = replay(world, Strategy("first", first=first_points(world), trials=len(space.first_trials), open=1), 0)
    found: dict[str, Any] = {
        "rows": len(world.rows),
        "best": world.best,
        "explained": {name: world.explained(name) for name in NAMES},
        "noise": dict(zip(NAMES, world.noise.std(0).tolist(), strict=True)),
        "first trials": float(first.regret[-1]),
        "strategies": {},
    }
    print(setting.name, json.dumps(found), flush=True)
    for strategy in STRATEGIES:
        runs = [replay(world, strategy, seed) for seed in range(repetitions)]
        found["strategies"][strategy.name] = {n: summarise(runs, n) for n in AT if n <= strategy.trials}
        print(setting.name, strategy.name, found["strategies"][strategy.name], flush=True)
    return found


def measure_seeds(setting: Setting, *, tiny: bool) -> None:
    """What a seed does to all configurations alike, and what to one alone: a two-way table without repetition."""
    place = Place(tiny)
    dataset, resolved = resolve_space(setting, place, tiny)
    scores = train_shared(dataset, FeatureCache(dataset, place.workspace.cache), resolved, POINTS, SEEDS)
    rest = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
    n, k = scores.shape
    alone = float((rest**2).sum() / ((n - 1) * (k - 1)))
    alike = max(0.0, float(scores.mean(0).var(ddof=1)) - alone / n)
    found = {"scores": scores.tolist(), "sd of one": alone**0.5, "sd of all alike": alike**0.5}
    write_text(table_folder(setting, tiny=tiny).with_suffix(".seeds.json"), json.dumps(found))
    print(setting.name, found, flush=True)


def first_points(world: World) -> tuple[Params, ...]:
    """The space's first trials as whole points: what they leave open is what the base says."""
    points = []
    for given in world.resolved.first_trials:
        base = effective_config(world.resolved, draw_points(world.resolved, 1)[0] | dict(given))
        points.append(find_point(world.resolved, base) or {})
    return tuple(points)


if __name__ == "__main__":
    main()
