"""The data sets that several reports search, and how they are searched; a study that was searched is taken as it is."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfe import api
from rfe.baselines.table import Baseline, run_baselines
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.workspace import Workspace, open_workspace
from tests.evidence.simulated import SCRATCH, simulated_set

TRIALS = 100
HOURS = {"tpe": 1 / 3, "random": 1.5}
"""Random search is there for its scores: it may take longer on a busy machine."""
HARD = ("contour", "logmel", "mfcc", "modspec")
CONFIRM = "confirm.top=5"
FAST = ("train.epochs=20", CONFIRM, "confirm.seeds=5", "limits.no_improvement=1000")
"""What differs from `search_spaces/everything.yaml`: it must fit twenty minutes on two cores."""
RIVAL, RIVAL_TRIALS = "concat_mlp", 50
TINY = ("train.epochs=1", "confirm.top=1", "confirm.seeds=2", "limits.no_improvement=1000")


@dataclass(frozen=True)
class Setting:
    """A data set, the encoders taken of it and what is known of its target's actors."""

    name: str
    folder: str
    """Of the real data sets; of simulated ones the shift of their test actors."""
    encoders: tuple[str, ...] | None
    target_actors: str
    simulated: bool = False


SETTINGS = (
    Setting("hard", "cremad_votes", HARD, "known"),
    Setting("all", "cremad_votes", None, "known"),
    Setting("blemore_hicmae_unknown", "blemore_hicmae", None, "unknown"),
    Setting("blemore_hicmae_known", "blemore_hicmae", None, "known"),
)
SIMULATED = (
    Setting("simulated_mild", "mild", None, "known", simulated=True),
    Setting("simulated_strong", "strong", None, "known", simulated=True),
)


@dataclass(frozen=True)
class Place:
    """Where studies are searched; tiny: everything small and simulated, to see that it runs."""

    tiny: bool = False

    @property
    def workspace(self) -> Workspace:
        return open_workspace(SCRATCH / ("workspace-tiny" if self.tiny else "workspace"))

    def data(self, setting: Setting) -> Path:
        """The data folder."""
        if self.tiny:
            shift = setting.folder if setting.simulated else "mild"
            return simulated_set(seed=19, shift=shift, actors=10, test_actors=4, clips_per_actor=20)[0].path
        if setting.simulated:
            return simulated_set(seed=19, shift=setting.folder)[0].path
        return Path(os.environ.get("RFE_REAL_DATA", "../shared/data")).absolute() / setting.folder

    def dataset(self, setting: Setting) -> Dataset:
        """The data set."""
        return load_dataset(self.data(setting), None if self.tiny else setting.encoders)

    def absent(self, settings: tuple[Setting, ...] | list[Setting]) -> list[str]:
        """Data folders that are not there, sorted."""
        return sorted({str(self.data(one)) for one in settings if not self.data(one).is_dir()})

    def study(self, setting: Setting, kind: str) -> str:
        """Name of the study: of a sampler, or `RIVAL`."""
        return f"{setting.name}-{kind}"

    def search(self, setting: Setting, sampler: str) -> dict[str, Any]:
        """Search, or go on with it; what it found, without this machine's places."""
        changes = list(TINY if self.tiny else FAST)
        if sampler == "random":
            changes = ["confirm.top=0" if one.startswith("confirm.top=") else one for one in changes]
        return self._search(
            setting, "everything", sampler, TRIALS, HOURS[sampler], (*changes, f"sampler.kind={sampler}")
        )

    def search_rival(self, setting: Setting) -> dict[str, Any]:
        """The same with the organisers' network, whose trials an ensemble may have as members too."""
        changes = [one for one in (TINY if self.tiny else FAST) if self.tiny or not one.startswith("train.epochs=")]
        return self._search(setting, RIVAL, RIVAL, RIVAL_TRIALS, HOURS["tpe"], tuple(changes))

    def _search(
        self, setting: Setting, space: str, kind: str, trials: int, hours: float, changes: tuple[str, ...]
    ) -> dict[str, Any]:
        encoders = [] if setting.encoders is None or self.tiny else [f"data.encoders=[{', '.join(setting.encoders)}]"]
        outcome = api.search(
            space,
            self.data(setting),
            study=self.study(setting, kind),
            trials=3 if self.tiny else trials,
            hours=hours,
            workers=1 if self.tiny else 2,
            overrides=(*changes, *encoders, f"base.data.target_actors={setting.target_actors}"),
            workspace=self.workspace,
        )
        if outcome.state != "finished":
            raise SystemExit(f"{self.study(setting, kind)}: {outcome.state}; the same command goes on with it")
        places = ("folder", "data")
        return {name: value for name, value in outcome.to_dict().items() if name not in places}

    def baselines(self, setting: Setting, families: tuple[str, ...]) -> list[Baseline]:
        """Baselines, each chosen by the study's own rule."""
        dataset = self.dataset(setting)
        cache = FeatureCache(dataset, self.workspace.cache)
        return run_baselines(
            dataset,
            cache,
            target_actors=setting.target_actors,
            epochs=1 if self.tiny else 30,
            threads=1,
            families=families,
            confirm=1 if self.tiny else 5,
            note=print,
        )
