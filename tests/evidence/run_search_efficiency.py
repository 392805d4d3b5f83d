"""The yardstick of the search: recorded random configurations of `everything`, and strategies replayed on them.

`python -m tests.evidence.run_search_efficiency record SETTING [--rows N] [--part K/N]` trains, for minutes to hours; it
can be stopped and run again. `... replay` makes the report of the tables there are, in minutes. The folder of real data
sets is `RFE_REAL_DATA`; tables stay in the workspace, as they are made of data that others own.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.search_space import ResolvedSpace, effective_config, find_point, load_space, resolve
from rfe.writing import write_text
from tests.evidence.search_replay import NAMES, Params, Strategy, World, replay, summarise
from tests.evidence.search_tables import draw_points, read_table, record_table, train_shared
from tests.evidence.searched_sets import SETTINGS, SIMULATED, Place, Setting
from tests.evidence.simulated import SCRATCH, report_folder, table, write_report

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
    chosen = [known[name] for name in arguments.settings or known]
    part, of = (int(one) for one in arguments.part.split("/"))
    if arguments.action == "replay":
        replay_all(chosen, arguments.repetitions, tiny=arguments.tiny)
        return
    for setting in chosen:
        if arguments.action == "record":
            record(setting, arguments.rows, (part, of), tiny=arguments.tiny)
        else:
            measure_seeds(setting, tiny=arguments.tiny)


def replay_all(settings: list[Setting], repetitions: int, *, tiny: bool) -> None:
    """Replay what is recorded; each setting's results are kept beside the report, to be taken as they are."""
    found = {}
    for setting in settings:
        path = report_folder("search_efficiency", tiny=tiny) / f"{setting.name}.json"
        if not path.exists():
            result = replay_setting(setting, repetitions, tiny=tiny)
            if result is None:
                print(f"left out: nothing is recorded of {setting.name}")
                continue
            write_text(path, json.dumps(result))
        found[setting.name] = json.loads(path.read_text())
    for one in found.values():
        one["strategies"] = {
            name: {int(n): regret for n, regret in by_trials.items()} for name, by_trials in one["strategies"].items()
        }
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
    """What the table is like, and of each strategy (mean, standard error) of the regret after each of `AT` trials."""
    world = open_world(setting, tiny=tiny)
    if world is None:
        return None
    first = first_points(world)
    alone = replay(world, Strategy("first", first=first, trials=max(1, len(first)), open=1), 0)
    found: dict[str, Any] = {
        "rows": len(world.rows),
        "best": world.best,
        "explained": {name: world.explained(name) for name in NAMES},
        "noise": dict(zip(NAMES, world.noise.std(0).tolist(), strict=True)),
        "spread": {name: float(world.values(name).std()) for name in NAMES},
        "first trials": float(alone.regret[-1]),
        "strategies": {},
    }
    print(setting.name, json.dumps(found), flush=True)
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        for strategy in STRATEGIES:
            runs = list(pool.map(partial(replay, world, strategy), range(repetitions)))
            found["strategies"][strategy.name] = {n: summarise(runs, n) for n in AT if n <= strategy.trials}
            print(setting.name, strategy.name, found["strategies"][strategy.name], flush=True)
    return found


def write_tables(found: dict[str, dict[str, Any]], repetitions: int, *, tiny: bool) -> None:
    """The report: a table of each setting."""
    parts = []
    for name, one in found.items():
        about = "; ".join(
            f"{of} {one['spread'][of]:.4f} over configurations, {one['noise'][of]:.4f} over seeds"
            for of in ("valid_states", "log_likelihood")
        )
        rows = [[strategy, *(_cell(regrets.get(n)) for n in AT)] for strategy, regrets in one["strategies"].items()]
        parts += [
            f"## {name}",
            f"{one['rows']} recorded trainings. Standard deviation: {about}. The surrogate explains "
            f"{one['explained']['valid_states']:.2f} of the variance of Score on configurations that it has not seen "
            f"(noise included). Best known: {one['best']:.4f}; the space's own first trials alone: regret "
            f"{one['first trials']:.4f}.",
            table(["strategy", *(f"{n} trials" for n in AT)], rows),
        ]
    head = (
        f"Regret of what would be exported: the best Score that the surrogate has anywhere, less the true Score of the "
        f"chosen configuration, in thousandths, mean of {repetitions} replays and its standard error. Space: "
        f"`{SPACE}`, {EPOCHS} epochs. Without a note 12 trials are open at once, the decoder is searched, and the "
        "sampler is told the Score. *Best decoder*: each trial is judged by the best of the three. *Told "
        "log-likelihood*: the sampler is; the choice is by Score. *5 confirmed*: the best five are trained with five "
        "fresh seeds each, and the best mean is taken."
    )
    text = write_report("search_efficiency", "How many trials a search needs", "\n\n".join([head, *parts]), tiny=tiny)
    print(text.read_text())


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


def first_points(world: World) -> tuple[Params, ...]:
    """The space's first trials as whole points: what they leave open is what the base says."""
    points = []
    for given in world.resolved.first_trials:
        base = effective_config(world.resolved, draw_points(world.resolved, 1)[0] | dict(given))
        points.append(find_point(world.resolved, base) or {})
    return tuple(points)


if __name__ == "__main__":
    main()
