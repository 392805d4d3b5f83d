"""What each later part of the model is worth: where encoders meet, what the gate sees, members, heads, kind, decoder.

`python -m tests.evidence.run_model_parts [--tiny] [SETTING...] [--data NAME=FOLDER[:CONFIG]...]`; settings are those of
`searched_sets`, all where nothing is named, and the folder of real data sets is `RFE_REAL_DATA`. `--data` adds a data
folder of your own under a name, perhaps with a configuration to start from in place of that of the plan. A setting's
ablation is kept beside the report when it is done, and an interrupted one goes on, so the script can be stopped and run
again. `--tiny` runs two settings small, in a place of its own, to see that it runs: a minute or two.
"""

import json
import platform
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rfe import api
from rfe.ablation.compare import describe_verdicts
from rfe.ablation.result import RESULT_FILE
from rfe.config.reading import read_yaml, write_yaml
from rfe.data.dataset import load_dataset
from rfe.data.design import check_design, check_design_actors
from rfe.data.domains import resolve_target_actors
from rfe.errors import ConfigError
from rfe.search_space.ready_made import find_space
from rfe.workspace import Workspace
from rfe.writing import write_text
from tests.evidence.ablation_tables import arms_table
from tests.evidence.parts import make_part, read_parts
from tests.evidence.searched_sets import SETTINGS, SIMULATED, Place, Setting
from tests.evidence.simulated import SCRATCH, report_folder, table

NAME = "model_parts"
PLAN = read_yaml(find_space(NAME, "ablations"))
"""Its base was fixed beforehand for all data sets: nothing of it was chosen on the reported clips."""
MORE: dict[str, list[str]] = {
    "components": [*PLAN["components"], "eight members"],
    "controls": [*PLAN["controls"], "concat_mlp", "kernel ridge", "gradient boosting"],
}
DESIGN = "transductive design decoder"
TINY: dict[str, Any] = {"train.epochs": 1, "model.latent_dim": 4, "model.boosting.iterations": 2}


@dataclass(frozen=True)
class Question:
    """One setting's ablation."""

    name: str
    data: Path
    encoders: tuple[str, ...] | None
    base: dict[str, Any] | str
    """Fields, or a configuration's file."""

    def plan(self, tiny: bool) -> dict[str, Any]:
        """The plan's fields, the design decoder among them where the data allows it."""
        base = self.base if isinstance(self.base, str) else {**PLAN["base"], **self.base, **(TINY if tiny else {})}
        components = [*MORE["components"], *([DESIGN] if self.why_no_design() == "" else [])]
        chosen = {} if self.encoders is None else {"encoders": list(self.encoders)}
        plan = {"name": f"parts-{self.name}", "seeds": 3 if tiny else 5, "base": base, "fixed": PLAN["fixed"]}
        return {**plan, **chosen, "components": components, "controls": MORE["controls"]}

    def why_no_design(self) -> str:
        """Why the design decoder is refused; empty where it is not."""
        dataset = load_dataset(self.data, self.encoders)
        fields = read_yaml(Path(self.base)).get("data", {}) if isinstance(self.base, str) else {}
        asked = self.base["data.target_actors"] if isinstance(self.base, dict) else fields.get("target_actors", "auto")
        try:
            check_design(dataset, DESIGN, "not run")
            check_design_actors(resolve_target_actors(asked, dataset.clips), DESIGN, dataset, "not run")
        except ConfigError as error:
            return str(error).replace(str(dataset.path), dataset.name)
        return ""


def main(arguments: list[str]) -> None:
    tiny = "--tiny" in arguments
    questions = read_questions([one for one in arguments if one != "--tiny"], Place(tiny))
    folder = report_folder(NAME, tiny=tiny)
    for one in questions:
        make_part(folder / "parts" / f"{one.name}.json", partial(_run, one, tiny))
        _write_report(tiny)
    print((folder / "README.md").read_text() if questions else "nothing is run")


def read_questions(arguments: list[str], place: Place) -> list[Question]:
    """What the command line asks; exits with a sentence on an unknown setting or a wrong `--data`."""
    settings = {one.name: one for one in (*SETTINGS, *SIMULATED)}
    names: list[str] = []
    own: list[Question] = []
    left = list(arguments)
    while left:
        word = left.pop(0)
        if word == "--data":
            name, _, rest = (left.pop(0) if left else "").partition("=")
            data, _, config = rest.partition(":")
            if not name or not data or not Path(data).is_dir() or (config and not Path(config).is_file()):
                raise SystemExit("--data takes NAME=FOLDER or NAME=FOLDER:CONFIG, e.g. mine=my-data:best.yaml")
            own.append(Question(name, Path(data), None, config or {"data.target_actors": "auto"}))
        elif word in settings:
            names.append(word)
        else:
            raise SystemExit(f"unknown setting {word!r}; use {', '.join(settings)}, or --data NAME=FOLDER[:CONFIG]")
    every = SIMULATED if place.tiny else tuple(settings.values())  # tiny: they are all simulated
    chosen = [settings[name] for name in names] or ([] if own else list(every))
    if absent := place.absent(chosen):
        print(f"left out: no {', '.join(absent)}; set RFE_REAL_DATA to the folder of the real data sets")
    return [*(_question(one, place) for one in chosen if str(place.data(one)) not in absent), *own]


def _question(setting: Setting, place: Place) -> Question:
    encoders = None if place.tiny else setting.encoders
    return Question(setting.name, place.data(setting), encoders, {"data.target_actors": setting.target_actors})


def _run(question: Question, tiny: bool) -> dict[str, Any]:
    fields, workspace = question.plan(tiny), _workspace(tiny)
    plan = SCRATCH / "plans" / f"{fields['name']}.yaml"
    write_text(plan, write_yaml(fields))
    if api.ablate(plan, question.data, workers=1 if tiny else 2, workspace=workspace) is None:
        raise SystemExit(f"{question.name}: interrupted; the same command goes on with it")
    found: dict[str, Any] = json.loads((workspace.study(fields["name"]).path / RESULT_FILE).read_text())
    return {**found, "no_design": question.why_no_design()}


def _workspace(tiny: bool) -> Workspace:
    return Place(tiny).workspace


def _write_report(tiny: bool) -> None:
    """`README.md` of the parts there are."""
    folder = report_folder(NAME, tiny=tiny)
    parts = {name: part["result"] for name, part in read_parts(folder / "parts").items()}
    settings = ", ".join(f"`{name}: {value}`" for name, value in {**PLAN["base"], **PLAN["fixed"]}.items())
    arms = dict.fromkeys(row["arm"] for one in parts.values() for row in one["arms"] if row["difference"] is not None)
    rows = [[arm, *(_difference(one, arm) for one in parts.values())] for arm in arms]
    sections = [
        "# What each later part of the model is worth",
        f"`RFE_REAL_DATA=... python -m tests.evidence.run_{NAME}`",
        f"Base, unless a setting has its own: {settings}; else the defaults. Each arm is the base with one change, "
        "trained with seeds that nothing was chosen by. Differences in Score from the base, paired by clip and seed, "
        "with 95% intervals over actors and seeds; in bold where the interval excludes 0 (before any correction; the "
        f"verdicts below are Holm's). `{DESIGN}` answers each actor's clips together: compare it with what may do so.",
        table(["arm", *parts], rows),
    ]
    for name, one in parts.items():
        seen = f"{one['clips']} clips of {one['actors']} actors, {one['seeds']} seeds."
        sections += [f"## {name}", *(f"*{caveat}*" for caveat in one["caveats"]), seen]
        sections += [f"No result: {arm}: {reason}" for arm, reason in one["failed"].items()]
        sections += [one["no_design"]] if one["no_design"] else []
        sections += [describe_verdicts((row["arm"], row["verdict"]) for row in one["arms"]), arms_table(one)]
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    sections.append(f"CPU ({platform.machine()}), two workers of one thread, float32, {versions}.")
    write_text(folder / "README.md", "\n\n".join(sections) + "\n")


def _difference(result: dict[str, Any], arm: str) -> str:
    found = next((row["difference"] for row in result["arms"] if row["arm"] == arm), None)
    if found is None:
        return ""
    low, high = found["low"], found["high"]
    cell = f"{found['estimate']:+.3f} [{low:+.3f}, {high:+.3f}]"
    return cell if low <= 0 <= high else f"**{cell}**"


if __name__ == "__main__":
    main(sys.argv[1:])
