"""The form of `task.yaml`: plain values into a `Task`, with a sentence on everything that is wrong.

```yaml
name: moods
classes: {joy: joy, awe: awe, ang: anger, neu: neutral}   # or a list of codes
blends: all                     # all, none, or pairs: [[joy, awe], [awe, ang]]
never_blend: [neu]              # with blends: all
alone: all                      # all, none, or the codes that may occur by themselves
ratios: [80, 65, 50, 35, 20]    # percent of a blend's first class, or "80/20"; left out: not asked
metric: blemore
submission: csv
```
"""

import difflib
import re
from collections.abc import Iterable
from itertools import combinations
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from rfe.errors import ConfigError, gather
from rfe.metric_names import METRICS
from rfe.task.task import MOST_CLASSES, MOST_RATIOS, SUBMISSIONS, Task

_RATIO = re.compile(r"\s*(\d{1,3})\s*/\s*(\d{1,3})\s*")


class TaskFile(BaseModel):
    """What `task.yaml` holds, and a bundle's manifest of its task."""

    # the settings of `rfe.config.schema.Section`, which stands above this module
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    name: Annotated[str, Field(min_length=1)]
    """What the task is called."""
    classes: list[str] | dict[str, str]
    """Codes of the classes in the order of every table, or a map from code to name."""
    blends: Literal["all", "none"] | list[list[str]] = "none"
    """Which pairs of classes occur: `all`, `none`, or a list of pairs of codes."""
    never_blend: list[str] = Field(default_factory=list)
    """With `blends: all`: classes that are in no pair."""
    alone: Literal["all", "none"] | list[str] = "all"
    """Which classes a clip may show by themselves."""
    ratios: list[int | str] = Field(default_factory=list)
    """Salience of a blend's first class, in percent, the largest first, or texts such as `80/20`. Empty: the ratio of
    a blend is not asked."""
    metric: Annotated[str, Field(json_schema_extra={"enum": list(METRICS)})] | None = None
    """What is optimised and reported. Left out: `blemore` where blends have two or more ratios, else `accuracy`."""
    submission: Annotated[str, Field(json_schema_extra={"enum": list(SUBMISSIONS)})] = "csv"
    """The form in which answers are handed in."""

    def to_task(self, heading: str = "task") -> Task:
        """The task.

        Args:
            heading: what was read, for messages.

        Raises:
            ConfigError: everything about it that is impossible, in one message.

        Examples:
            >>> file = TaskFile(name="valence", classes=["neg", "pos"], blends="all", ratios=["75/25", "25/75"])
            >>> file.to_task().n_states
            4
        """
        gather(self._too_many(), ConfigError, heading)
        problems: list[str] = []
        codes = list(self.classes)
        alone = codes if self.alone == "all" else [] if self.alone == "none" else self.alone
        pairs = self._pairs(problems)
        ratios = tuple(self._percent(ratio, problems) for ratio in self.ratios)
        problems += [*self._unknown("alone", alone), *self._unknown("never_blend", self.never_blend)]
        if self.never_blend and self.blends != "all":
            problems.append(
                "never_blend: is read with blends: all only; write blends: all, or leave such pairs out of blends"
            )
        gather(problems, ConfigError, heading)
        scored_by_ratio = bool(pairs) and len(ratios) > 1
        try:
            return Task(
                name=self.name,
                classes=tuple(codes),
                class_names=tuple(self.classes.values()) if isinstance(self.classes, dict) else (),
                pairs=pairs,
                ratios_percent=ratios,
                alone=tuple(code in alone for code in codes),
                metric=self.metric or ("blemore" if scored_by_ratio else "accuracy"),
                submission=self.submission,
            )
        except ConfigError as error:
            raise ConfigError(f"{heading}{str(error).removeprefix(f'task {self.name!r}')}") from None

    def _too_many(self) -> list[str]:
        """What is refused before it is looked at: a bundle's manifest may come from anyone, and be large."""
        n = len(self.classes)
        problems = [] if 2 <= n <= MOST_CLASSES else [f"classes: there are {n}; a task has 2 to {MOST_CLASSES}"]
        for field, most in (("blends", n * (n - 1) // 2), ("never_blend", n), ("alone", n)):
            given = getattr(self, field)
            if isinstance(given, list) and len(given) > most:
                problems.append(f"{field}: there are {len(given)}; {n} classes have at most {most}")
        if len(self.ratios) > MOST_RATIOS:
            problems.append(f"ratios: there are {len(self.ratios)}; a task has at most {MOST_RATIOS}")
        return problems

    def _pairs(self, problems: list[str]) -> tuple[tuple[int, int], ...]:
        """[pair] indices of its classes, the lower first; in the order of the file."""
        codes = list(self.classes)
        if self.blends == "none":
            return ()
        if self.blends == "all":
            return tuple(combinations([codes.index(code) for code in codes if code not in self.never_blend], 2))
        found: dict[tuple[int, int], None] = {}
        for pair in self.blends:
            written = f"[{', '.join(pair)}]"
            if len(pair) > 2:
                problems.append(
                    f"blends: {written} has {len(pair)} classes; a clip shows one or two, so name pairs such as "
                    f"[{', '.join(pair[:2])}]"
                )
            elif len(pair) < 2 or pair[0] == pair[1]:
                problems.append(f"blends: {written} is no pair; name two different classes, or leave it out")
            elif unknown := self._unknown("blends", pair):
                problems += unknown
            else:
                first, second = sorted(codes.index(code) for code in pair)
                if (first, second) in found:
                    problems.append(f"blends: {written} occurs more than once, in any order; keep one")
                found[first, second] = None
        return tuple(found)

    def _unknown(self, field: str, codes: Iterable[str]) -> list[str]:
        """A sentence on each code that is no class."""
        classes = list(self.classes)
        sentences = []
        for code in codes:
            if code not in classes:
                near = difflib.get_close_matches(code, classes, 1, 0.6)
                remedy = f"did you mean {near[0]}?" if near else f"the classes are {', '.join(classes)}"
                sentences.append(f"{field}: {code!r} is no class of this task; {remedy}")
        return list(dict.fromkeys(sentences))

    @staticmethod
    def _percent(ratio: int | str, problems: list[str]) -> int:
        """The first class's percent of a ratio."""
        if isinstance(ratio, int):
            return ratio
        match = _RATIO.fullmatch(ratio)
        if match is None:
            problems.append(f"ratios: {ratio!r} is no ratio; write percents as 80 or '80/20'")
            return 50
        first, second = int(match[1]), int(match[2])
        if first + second != 100:
            problems.append(f"ratios: {ratio!r} sums to {first + second}, not to 100 (percent); write e.g. '80/20'")
        return first
