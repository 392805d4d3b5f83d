"""A search space as its YAML file has it."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr, field_validator, model_validator

from rfe.config.schema import LARGEST, MOST_SEEDS, Section, Words
from rfe.data.remote import SECRET_IN_URI
from rfe.metric_names import MetricName
from rfe.search_space.dimensions import Value
from rfe.search_space.notify import Notify
from rfe.secrets import carries_secret, redact_uri
from rfe.workspace import NAME_LETTERS, STUDY_NAME

Objective = Literal["score", "acc_presence", "acc_salience", MetricName, "log_likelihood"]
"""What trials log; which of them a task has is checked with the data (`check_objectives`)."""
ALSO_CALLED = {"accuracy": "acc_presence"}
"""A metric of `task.yaml` -> what trials log it as."""


class DimensionSpec(Section):
    """One line under `space`: exactly one of `subset`, `int`, `float` and `choice`, with its options."""

    subset: Literal["all"] | Annotated[list[str], Field(min_length=1)] | None = None
    """`pool` only: which encoders may be in the pool; `all` of the data folder, or by name."""
    min_size: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    """`subset` only: fewer than these are filled up, in the order of the encoders (default 1)."""
    int_: Annotated[list[int], Field(min_length=2, max_length=2)] | None = Field(default=None, alias="int")
    """[lowest, highest], both included."""
    float_: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(default=None, alias="float")
    """[lowest, highest], both included."""
    choice: Annotated[list[Value], Field(min_length=1)] | None = None
    log: bool = False
    """`int` and `float`: sampled evenly in the logarithm."""
    step: int | float | None = None
    """`int` and `float`: only lowest, lowest + step, ... up to highest."""
    when: dict[str, Value | list[Value]] = Field(default_factory=dict)
    """The dimension counts only while each of these fields has (one of) the given values, else it is dropped."""

    @model_validator(mode="after")
    def _one_form(self) -> "DimensionSpec":
        forms = [name for name in ("subset", "int", "float", "choice") if self.form(name) is not None]
        if len(forms) != 1:
            raise ValueError(f"give exactly one of subset, int, float and choice, not {' and '.join(forms) or 'none'}")
        bounds = self.int_ or self.float_
        if self.min_size is not None and self.subset is None:
            raise ValueError("min_size goes with subset only")
        if self.subset is not None and self.when:
            raise ValueError("when does not go with subset: the pool always counts")
        if bounds is None and (self.log or self.step is not None):
            raise ValueError("log and step go with int and float only")
        if bounds is not None and not bounds[0] < bounds[1]:
            raise ValueError(f"{bounds} is no range: the first must be below the second (one value goes under base)")
        if bounds is not None and self.log and bounds[0] <= 0:
            raise ValueError(f"log needs a range above 0, not {bounds}")
        if self.log and self.step is not None:
            raise ValueError("log and step do not go together; leave one out")
        if self.step is not None and (self.step <= 0 or (self.int_ is not None and not isinstance(self.step, int))):
            raise ValueError(f"step must be above 0, and whole for an int range, not {self.step}")
        if bounds is not None and self.step is not None:
            strides = (bounds[1] - bounds[0]) / self.step
            if abs(strides - round(strides)) > 1e-9:
                raise ValueError(f"{bounds} is not a whole number of steps of {self.step}")
        for named in (self.choice, self.subset):
            if isinstance(named, list) and len({(isinstance(v, bool), v) for v in named}) != len(named):
                raise ValueError(f"{named} holds a value twice")
        return self

    def form(self, name: str) -> Any:
        """What was given as `subset`, `int`, `float` or `choice`; None if not."""
        return getattr(self, {"int": "int_", "float": "float_"}.get(name, name))


def _without_secret(uri: str | None) -> str | None:
    if uri is not None and "://" in uri and carries_secret(uri):
        raise ValueError(f"{redact_uri(uri)} {SECRET_IN_URI}")
    return uri


class DataSource(Section):
    path: Annotated[str | None, AfterValidator(_without_secret)] = None
    """The data folder; `--data` wins."""
    encoders: Annotated[list[str], Field(min_length=1)] | None = None
    """The encoders to read, of those in the folder; all if left out."""


class Sampler(Section):
    """The sampler, which proposes configurations."""

    kind: Literal["tpe", "gp", "nsga2", "cmaes", "random", "grid"] = "tpe"
    """`tpe`: tree-structured Parzen estimator. `gp`: Gaussian process; seconds for each trial. `nsga2`: genetic.
    `cmaes`: covariance matrix adaptation of the `int` and `float` dimensions, of which it needs two; choices and the
    pool are drawn at random, without learning. `random`: independent draws. `grid`: every effective configuration once,
    in a fixed order; ends the study when done, so that no budget is needed."""
    startup_trials: Annotated[int, Field(ge=1, le=LARGEST)] = 10
    """`tpe`, `gp` and `cmaes`: finished trials before the sampler learns; sampled at random until then."""
    population: Annotated[int, Field(ge=4, le=LARGEST)] | None = None
    """`nsga2` and `cmaes`: trials of a generation; null: 20, and 4 + 3 ln(dimensions)."""


class Pruner(Section):
    """Which trials end before their last epoch, by their cross-fitted score so far."""

    kind: Literal["none", "asha", "median", "percentile", "patient"] = "none"
    """`asha`: of the trials that reach a rung only the best 1 / reduction_factor go on. `median`, `percentile`: a trial
    that is worse than half (`percentile`: than the best so many percent) of the complete trials were at the same epoch
    ends. `patient`: a trial that no longer gains on itself ends."""
    min_epochs: Annotated[int, Field(ge=1, le=LARGEST)] = 5
    """`asha`: the first rung; the next ones are reduction_factor times as far."""
    reduction_factor: Annotated[int, Field(ge=2, le=LARGEST)] = 3
    """`asha`: one of so many goes on."""
    startup_trials: Annotated[int, Field(ge=1, le=LARGEST)] = 5
    """`median` and `percentile`: complete trials before any is pruned."""
    warmup_epochs: Annotated[int, Field(ge=0, le=LARGEST)] = 5
    """`median` and `percentile`: no trial is pruned before."""
    percentile: Annotated[float, Field(gt=0, lt=100)] = 25.0
    """`percentile`: the best so many percent go on; 50 is the median."""
    patience: Annotated[int, Field(ge=0, le=LARGEST)] = 1
    """`patient`: a trial ends when it was not better in the last `patience` + 1 scored epochs than before."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """`patient`: worse by up to so much still counts as no worse."""
    on: Literal["score"] | None = None
    """What is compared; needed with several objectives, which have no order of their own."""
    folds_first: Annotated[int, Field(ge=2, le=LARGEST)] | None = None
    """Train so many folds first, and the others of the survivors only; null: all folds at once."""

    @model_validator(mode="after")
    def _own_options(self) -> "Pruner":
        owned = {name for names in PRUNER_OPTIONS.values() for name in names}
        own = PRUNER_OPTIONS.get(self.kind, ())
        for name, field in type(self).model_fields.items():
            if name in owned and name not in own and getattr(self, name) != field.default:
                kinds = " and ".join(kind for kind, names in PRUNER_OPTIONS.items() if name in names)
                raise ValueError(f"{name} goes with kind {kinds} only, not with {self.kind}; leave it out")
        if self.kind == "none" and self.folds_first is not None:
            raise ValueError("folds_first needs a pruner that says who survives; set kind, or leave it out")
        return self


PRUNER_OPTIONS: dict[str, tuple[str, ...]] = {
    "asha": ("min_epochs", "reduction_factor"),
    "median": ("startup_trials", "warmup_epochs"),
    "percentile": ("startup_trials", "warmup_epochs", "percentile"),
    "patient": ("patience", "min_delta"),
}


class Budget(Section):
    trials: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    hours: Annotated[float, Field(gt=0)] | None = None
    """Searching time, added up over resumes."""


class Confirm(Section):
    """After the budget the best trials are trained again with seeds the search never used."""

    top: Annotated[int, Field(ge=0, le=LARGEST)] = 10
    """How many trials; 0 confirms none."""
    seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)] = 5


class Limits(Section):
    trial_minutes: Annotated[float, Field(gt=0)] = 30.0
    """A configuration that trains longer fails."""
    retries: Annotated[int, Field(ge=0, le=LARGEST)] = 2
    """How often a configuration whose worker was lost is started again."""
    failed_in_a_row: Annotated[int, Field(ge=1, le=LARGEST)] = 10
    """So many failures one after the other stop the study."""
    no_improvement: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    """So many finished trials without a better score (or a change of the Pareto front) end the study as done; null:
    never."""


class SearchSpace(Section):
    """One study: what is fixed, what is searched, how, and for how long."""

    study: Annotated[str, Field(pattern=f"^{STUDY_NAME.pattern}$"), Words(f"text of at most 100 {NAME_LETTERS}")]
    """Name of the study and of its folder; `--study` wins."""
    data: DataSource = DataSource()
    base: dict[str, Any] = Field(default_factory=dict)
    """Fixed fields of the configuration, nested or dotted."""
    space: dict[str, DimensionSpec] = Field(default_factory=dict)
    """Searched fields of the configuration, by dotted name; empty: the base alone."""
    arms: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """In the place of `space`: named lists of changes to the base, each one trial; with `sampler.kind: grid`."""
    first_trials: list[dict[str, Any]] = Field(default_factory=list)
    """Trials to begin with; searched fields by dotted name, the rest is sampled."""
    objective: Objective | Annotated[list[Objective], Field(min_length=2)] = "score"
    """What is maximised; several make a search for their Pareto front. The study's result is by score all the same."""
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
    budget: Budget = Budget()
    confirm: Confirm = Confirm()
    limits: Limits = Limits()
    cohort: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    """Configurations asked for at a time; null: as many as keep the workers busy."""
    keep_top: Annotated[int, Field(ge=0, le=LARGEST)] = 20
    """Weights and figures are kept of so many best trials."""
    keep_arms: list[str] = Field(default_factory=list)
    """Weights are kept of these arms too, whatever their score."""
    storage: Annotated[str | None, AfterValidator(_without_secret)] = None
    """Path or fsspec URI under which a copy of the study's folder is kept up to date; null: none."""
    notify: Notify | None = None
    """Notifications when the study ends, fails, stalls or finds a better trial; null: as in the workspace's
    `settings.yaml`."""

    _source: str = PrivateAttr(default="")

    @field_validator("objective", mode="before")
    @classmethod
    def _as_logged(cls, given: Any) -> Any:
        names = given if isinstance(given, list) else [given]
        known = [ALSO_CALLED.get(one, one) if isinstance(one, str) else one for one in names]
        return known if isinstance(given, list) else known[0]

    @property
    def source(self) -> str:
        """The text of the file it was read from; empty where there was none."""
        return self._source

    def with_source(self, text: str) -> "SearchSpace":
        """The same space, said to be read from `text`."""
        space = self.model_copy()
        space._source = text
        return space

    @property
    def objectives(self) -> tuple[str, ...]:
        """What is maximised, one or several; names of a trial's scores."""
        return (self.objective,) if isinstance(self.objective, str) else tuple(self.objective)

    @model_validator(mode="after")
    def _arms_alone(self) -> "SearchSpace":
        if self.arms and (self.space or self.first_trials):
            raise ValueError("arms: replace space and first_trials; leave those out")
        if self.arms and self.sampler.kind != "grid":
            raise ValueError("arms: are tried one after another; set sampler.kind to grid")
        return self

    @model_validator(mode="after")
    def _several_objectives(self) -> "SearchSpace":
        if isinstance(self.objective, str):
            return self
        if len(set(self.objective)) < len(self.objective):
            raise ValueError(f"objective: {self.objective} names one twice; leave one out")
        if self.pruner.kind != "none" and self.pruner.on is None:
            raise ValueError(
                f"pruner: kind {self.pruner.kind} compares one value and there are {len(self.objective)} objectives; "
                "set pruner.on to score, or pruner.kind to none"
            )
        if self.sampler.kind == "cmaes":
            raise ValueError("sampler.kind: cmaes has one objective only; use nsga2, tpe, gp or random for several")
        return self
