"""The yardstick of the search: recorded random configurations of `everything`, and strategies replayed on them.

`python -m tests.evidence.run_search_efficiency record SETTING [--rows N] [--part K/N]` trains, for minutes to hours; it
can be stopped and run again. `... replay` makes the report of the tables there are, in minutes. The folder of real data
sets is `RFE_REAL_DATA`; tables stay in the workspace, as they are made of data that others own.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.search_space import ResolvedSpace, effective_config, find_point, load_space, resolve
from rfe.writing import write_text
from tests.evidence.search_portfolio import PORTFOLIO, choose_portfolio, effects, whole_pool
from tests.evidence.search_real import REAL, TRIALS, describe, random_selected, search_truly
from tests.evidence.search_replay import NAMES, Params, Strategy, World, reach, replay, summarise
from tests.evidence.search_tables import draw_points, read_table, record_table, train_shared
from tests.evidence.searched_sets import SETTINGS, SIMULATED, Place, Setting
from tests.evidence.simulated import SCRATCH, report_folder, table, write_report

EPOCHS = 20
SPACE = Path("search_spaces/everything.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["record", "replay", "seeds", "portfolio", "search"])
    parser.add_argument("settings", nargs="*", metavar="SETTING")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--part", default="0/1", metavar="K/N")
    parser.add_argument("--tiny", action="store_true", help="a quick run that is not kept")
    arguments = parser.parse_args()
    known = {one.name: one for one in (*SETTINGS, *SIMULATED)}
    if wrong := sorted(set(arguments.settings) - set(known)):
        raise SystemExit(f"unknown setting {', '.join(wrong)}; use {', '.join(known)}")
    chosen = [known[name] for name in arguments.settings or known]
    if arguments.action == "portfolio":
        print_portfolio(chosen, tiny=arguments.tiny)
        return
    part, of = (int(one) for one in arguments.part.split("/"))
    if arguments.action == "replay":
        replay_all(chosen, arguments.repetitions, tiny=arguments.tiny)
        return
    for setting in chosen:
        if arguments.action == "record":
            record(setting, arguments.rows, (part, of), tiny=arguments.tiny)
        elif arguments.action == "search":
            search_really(setting, [one for one in known.values() if one != setting], tiny=arguments.tiny)
        else:
            measure_seeds(setting, tiny=arguments.tiny)


def replay_all(settings: list[Setting], repetitions: int, *, tiny: bool) -> None:
    """Replay what is recorded; each setting's results are kept beside the report, to be taken as they are."""
    worlds = {one.name: world for one in settings if (world := open_world(one, tiny=tiny)) is not None}
    found = {}
    for setting in settings:
        if setting.name not in worlds:
            print(f"left out: nothing is recorded of {setting.name}")
            continue
        path = report_folder("search_efficiency", tiny=tiny) / f"{setting.name}.json"
        if not path.exists():
            others = [world for name, world in worlds.items() if name != setting.name]
            result = replay_setting(setting.name, worlds[setting.name], others, repetitions)
            write_text(path, json.dumps(result, indent=1))
        found[setting.name] = json.loads(path.read_text())
    for one in found.values():
        for strategy in one["strategies"].values():
            strategy["regret"] = {int(n): regret for n, regret in strategy["regret"].items()}
    write_tables(found, repetitions, tiny=tiny)


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


FIXED: dict[str, Any] = {
    "decode.kind": "valid_states",
    "decode.thresholds": "grid",
    "loss.balance": "none",
    "model.fusion.kind": "weighted_sum",
    "model.gate.noise": 0.0,
    "model.gate.balance_weight": 0.0,
    "model.head_fusion.kind": "linear",
    "model.head_fusion.presence_weight": 0.5,
    "train.average": "ema",
}
"""What the small space does not search."""
SMALL: dict[str, Any] = {"fixed": tuple(FIXED.items())}
STRATEGIES = (
    Strategy("random", "random", trials=400),
    Strategy("tpe, 12 open"),
    Strategy("tpe, 64 open", open=64),
    Strategy("portfolio, then random", "random", portfolio=PORTFOLIO, **SMALL),
    Strategy("portfolio, then tpe, 12 open", portfolio=PORTFOLIO, **SMALL),
    Strategy("portfolio, then tpe, 64 open", open=64, portfolio=PORTFOLIO, **SMALL),
)
POINTS, SEEDS = 8, 6
AT = (8, 25, 50, 100, 200, 400)
CLOSE = 0.003


def open_world(setting: Setting, *, tiny: bool) -> World | None:
    """The recorded setting; None where nothing is recorded."""
    folder = table_folder(setting, tiny=tiny)
    return World(read_table(folder), resolve_space(setting, Place(tiny), tiny)[1]) if folder.is_dir() else None


def replay_setting(name: str, world: World, others: list[World], repetitions: int) -> dict[str, Any]:
    """What the table is like, and how each strategy fares.

    Args:
        name: of the setting.
        world: the setting.
        others: those that its portfolio is chosen on.
        repetitions: replays of each strategy.
    """
    first = first_points(world)
    found: dict[str, Any] = {
        "rows": len(world.rows),
        "best": world.best,
        "explained": {name: world.explained(name) for name in ("valid_states", "log_likelihood")},
        "noise": dict(zip(NAMES, world.noise.std(0).tolist(), strict=True)),
        "spread": {name: float(world.values(name).std()) for name in NAMES},
        "first trials": _best_regret(world, first),
        "effects": effects(world),
        "strategies": {},
    }
    portfolio = [whole_pool(world, one) for one in choose_portfolio(others, PORTFOLIO, FIXED)] if others else []
    found["portfolio"] = [_best_regret(world, portfolio[: n + 1]) for n in range(len(portfolio))]
    print(name, json.dumps(found), flush=True)
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        for strategy in STRATEGIES:
            if strategy.portfolio and not portfolio:
                continue
            asked = replace(strategy, first=tuple(portfolio[: strategy.portfolio]))
            runs = list(pool.map(partial(replay, world, asked), range(repetitions)))
            found["strategies"][strategy.name] = {
                "regret": {n: summarise(runs, n) for n in AT if n <= strategy.trials},
                "reach": reach(runs, CLOSE),
            }
            print(name, strategy.name, found["strategies"][strategy.name], flush=True)
    return found


def _best_regret(world: World, points: Sequence[Params]) -> float:
    """Of points that are judged without luck."""
    return world.best - max(float(world.truth([one], one["decode.kind"])[0]) for one in points)


def write_tables(found: dict[str, dict[str, Any]], repetitions: int, *, tiny: bool) -> None:
    """The report: all settings together, then each."""
    head = (
        f"Regret of what would be exported: the best Score that the surrogate has anywhere, less the true Score of the "
        f"chosen configuration, in thousandths, mean of {repetitions} replays and its standard error. Space: "
        f"`{SPACE}`, {EPOCHS} epochs. Without a note 12 trials are open at once, and the sampler is told the Score. "
        f"*Small space*: without the dimensions {', '.join(f'`{name}`' for name in FIXED)}. *Portfolio*: the first "
        f"{PORTFOLIO} trials are chosen greedily on the other settings' tables, with all encoders in the pool; two of "
        f"these are of the same clips (hard and all, known and unknown, mild and strong), so that wholly new data may "
        f"gain less. *Within {CLOSE}*: trials, and seconds of training, until the "
        "mean regret is so small; empty where it never is."
    )
    real = {one.name: table_folder(one, tiny=tiny).with_suffix(".real.json") for one in (*SETTINGS, *SIMULATED)}
    parts = [head, "## All settings", _mean_table(found), _effects_table(found), *describe(real)]
    for name, one in found.items():
        about = "; ".join(
            f"{of} {one['spread'][of]:.4f} over configurations, {one['noise'][of]:.4f} over seeds"
            for of in ("valid_states", "log_likelihood")
        )
        rows = [[strategy, *_cells(result)] for strategy, result in one["strategies"].items()]
        alone = ", ".join(f"{1000 * regret:.1f}" for regret in one["portfolio"])
        parts += [
            f"## {name}",
            f"{one['rows']} recorded trainings. Standard deviation: {about}. The surrogate explains "
            f"{one['explained']['valid_states']:.2f} of the variance of Score on configurations that it has not seen "
            f"(noise included). Best known: {one['best']:.4f}. Regret of the best of the space's own first trials: "
            f"{1000 * one['first trials']:.1f}; of the first, the first two, ... of the portfolio: {alone}.",
            table(["strategy", *HEADER], rows),
        ]
    data = "Recorded trainings on real and simulated data sets."
    text = write_report("search_efficiency", "How many trials a search needs", "\n\n".join(parts), tiny=tiny, data=data)
    print(text.read_text())


HEADER = (*(f"{n} trials" for n in AT), f"within {CLOSE}")


def _mean_table(found: dict[str, dict[str, Any]]) -> str:
    """Mean regret over settings; its standard error is that of the replays, the settings being what they are."""
    rows = []
    for strategy in (one.name for one in STRATEGIES):
        results = [one["strategies"][strategy] for one in found.values() if strategy in one["strategies"]]
        cells = []
        for n in AT:
            pairs = [one["regret"][n] for one in results if n in one["regret"]]
            mean = float(np.mean([pair[0] for pair in pairs])) if pairs else 0.0
            error = float(np.sqrt(np.sum([pair[1] ** 2 for pair in pairs])) / len(pairs)) if pairs else 0.0
            cells.append(_cell((mean, error) if pairs else None))
        if results:
            rows.append([strategy, *cells])
    return table([f"mean of {len(found)}", *HEADER[:-1]], rows)


def _effects_table(found: dict[str, dict[str, Any]]) -> str:
    """How much a dimension moves the Score, in thousandths."""
    names = dict.fromkeys(name for one in found.values() for name in one["effects"] if not name.startswith("pool."))
    means = {name: float(np.mean([one["effects"][name] for one in found.values()])) for name in names}
    rows = [
        [f"`{name}`", *(f"{1000 * one['effects'][name]:.1f}" for one in found.values())]
        for name in sorted(names, key=means.__getitem__, reverse=True)
    ]
    return table(["drawn anew alone, the Score moves by", *found], rows)


def _cells(result: dict[str, Any]) -> list[str]:
    close = "" if result["reach"] is None else f"{result['reach'][0]} ({result['reach'][1]:.0f} s)"
    return [*(_cell(result["regret"].get(n)) for n in AT), close]


def _cell(regret: tuple[float, float] | None) -> str:
    return "" if regret is None else f"{1000 * regret[0]:.1f} ± {1000 * regret[1]:.1f}"


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


def search_really(setting: Setting, others: list[Setting], *, tiny: bool) -> None:
    """Real searches of few trials against a hundred recorded random ones, kept for the report."""
    worlds = [world for one in others if (world := open_world(one, tiny=tiny)) is not None]
    rows = read_table(table_folder(setting, tiny=tiny))
    place = Place(tiny)
    dataset, resolved = resolve_space(setting, place, tiny)
    pool = {one.name: True for one in resolved.dimensions if one.name.startswith("pool.")}
    first = [{**one, **pool} for one in choose_portfolio(worlds, PORTFOLIO, FIXED)]
    cache = FeatureCache(dataset, place.workspace.cache)
    chance = [random_selected(rows, 100, seed) for seed in range(200)]
    found: dict[str, Any] = {"random": chance, "searches": []}
    for seed in range(REAL):
        found["searches"].append(search_truly(dataset, cache, resolved, first, FIXED, TRIALS, seed))
        print(setting.name, seed, np.mean(chance), found["searches"][-1], flush=True)
        write_text(table_folder(setting, tiny=tiny).with_suffix(".real.json"), json.dumps(found))


def print_portfolio(settings: list[Setting], *, tiny: bool) -> None:
    """The first trials of `search_spaces/fusion.yaml`: chosen on all recorded settings."""
    worlds = [world for one in settings if (world := open_world(one, tiny=tiny)) is not None]
    for point in choose_portfolio(worlds, PORTFOLIO, FIXED):
        active = [one for one in worlds[0].resolved.dimensions if one.name in point and one.name not in FIXED]
        values = {one.name: point[one.name] for one in active if all(point[of] in to for of, to in one.when)}
        rounded = {name: float(f"{value:.1e}") if isinstance(value, float) else value for name, value in values.items()}
        print("  - {pool: all, " + ", ".join(f"{name}: {value}" for name, value in rounded.items()) + "}")


def first_points(world: World) -> tuple[Params, ...]:
    """The space's first trials as whole points: what they leave open is what the base says."""
    points = []
    for given in world.resolved.first_trials:
        base = effective_config(world.resolved, draw_points(world.resolved, 1)[0] | dict(given))
        points.append(find_point(world.resolved, base) or {})
    return tuple(points)


if __name__ == "__main__":
    main()
