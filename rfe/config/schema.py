"""The configuration of one trial: every field that can change a result, with its default and its bounds.

Frozen and strict: an unknown field or a wrong type is refused. `rfe.config.load` reads YAML into it and
`rfe.config.identity` hashes it. Equations behind the fields are in the modules they configure.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Standardize = Literal["fold", "actor"]
TargetActors = Literal["auto", "known", "pseudo", "unknown"]
LARGEST = 2**31 - 1
"""Of whole numbers, which become indices and tensors of 32 or 64 bits."""
LARGEST_SEED = 2**32 - 1
"""What every generator takes; the seeds that follow a first one stay far from the end of 64 bits."""
MOST_SEEDS = 1000
"""Each seed is a separate model."""
MOST_MEMBERS = 64
"""Of one model: each has its own activations."""
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]


@dataclass(frozen=True)
class Words:
    """Beside a field's type: what it takes, in the words of a message, where the type and its bounds do not say it."""

    text: str


class Section(BaseModel):
    """Base of every section: no unknown fields, no silent casts, immutable."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class DataSection(Section):
    standardize: Standardize | dict[str, Standardize] = "actor"
    """Statistics for standardising: of the fold's training clips, or of each actor's own clips shrunk toward them.
    One value, or a map by encoder (encoders left out: `fold`)."""
    target_actors: TargetActors = "auto"
    """What is known of the actors of held-out and target clips. `auto`: `known` where the data's target clips carry
    `video_id`, else `unknown`."""
    pseudo_clips_per_group: Annotated[int, Field(ge=2, le=LARGEST)] = 54
    """`target_actors: pseudo` only: clips per pseudo-actor; the number of groups follows from it."""
    reduce: Annotated[int, Field(ge=1, le=LARGEST)] | dict[str, Annotated[int, Field(ge=1, le=LARGEST)]] | None = None
    """PCA dimension, fitted on the fold's training clips; one value or a map by encoder (left out: not reduced).
    An encoder that is no wider keeps its own dimension."""
    training_actors: Annotated[int, Field(ge=2, le=LARGEST)] | Literal["all"] = "all"
    """How many of each fold's training actors are used, for everything that is fitted; for curves of Score against
    them. Drawn for each fold, the fewer among the more; epochs have as many steps as with all."""


class GateSection(Section):
    kind: Literal["attention", "static", "uniform", "shuffled", "random_top_n"] = "attention"
    """How encoders are scored: per clip, by encoder only, or all alike. `shuffled` (another clip's scores) and
    `random_top_n` are controls."""
    inputs: Literal["latent", "predictions", "both"] = "latent"
    """What the scores of `attention` depend on: each encoder's latent vector; how its own prediction of the set agrees
    with the other encoders' (see `rfe.model.auxiliary`); or both."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    noise: Annotated[float, Field(ge=0)] = 0.0
    """Scale of Gumbel noise on the scores in training, annealed linearly to 0."""
    balance_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the load-balancing loss."""
    gradient: Literal["straight_through", "kept_only"] = "straight_through"


class FusionSection(Section):
    kind: Literal["weighted_sum", "rank_concat", "rank_embedding", "rank_concat_shuffled"] = "weighted_sum"
    """`rank_concat_shuffled` is a control: the kept encoders' places are permuted at random, clip by clip."""
    stage: Literal["late", "early", "both"] = "late"
    """Where encoders meet: `late`, their vectors, each behind its own LayerNorm and GELU; `early`, their weighted
    projections, before one LayerNorm and GELU, which with a uniform gate is a layer on concatenated features; `both`,
    the early vector as one more entry beside the late ones. See `rfe.model.early`."""
    residual: Literal["none", "predictions"] = "none"
    """`predictions`: the encoders' own presence logits, weighted by the gate, are added to the fused vector's."""


class HeadFusionSection(Section):
    kind: Literal["linear", "geometric"] = "linear"
    presence_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """omega: weight of the presence head in the fused probabilities."""


class HeadsSection(Section):
    blend: Literal["joint", "own"] = "joint"
    """With `loss.presence: states` or `sets`, what says whether a clip is a blend: the sets' logits, or a logit of its
    own, under which they say which class or which pair (see `rfe.model.heads.decide_blend`)."""
    ratio: Literal["difference", "pair"] = "difference"
    """What says how a blend is split: the difference of its classes' salience logits, or that and a term of the pair's
    own (see `rfe.model.pair_heads.lean_pairs`), trained by `loss.lambda_ratio`; not read by `decode.kind: official`."""


class KernelSection(Section):
    """Kernel ridge, `model.kind: kernel`; equations in `rfe.model.kernel_ridge`."""

    kind: Literal["gaussian", "laplace"] = "gaussian"
    bandwidth: Annotated[float, Field(gt=0)] = 1.0
    """Factor of each encoder's median distance between training clips."""
    penalty: Annotated[float, Field(ge=1.0e-3)] = 1.0
    """lambda, beside a kernel whose diagonal is 1; smaller ones are lost in rounding."""
    combination: Literal["sum", "product"] = "sum"
    """Of the encoders' kernels: the weighted arithmetic mean, or the weighted geometric mean."""
    weighting: Literal["given", "alignment"] = "given"
    """The encoders' weights: `weights`, or those whose kernel is most like the labels' on the training clips (centred
    kernel alignment). Either selects encoders globally, with the same weights for every clip."""
    weights: Annotated[float, Field(gt=0)] | dict[str, Annotated[float, Field(gt=0)]] = 1.0
    """`weighting: given`: relative weights; one value (all alike), or a map by encoder (left out: 1)."""
    landmarks: Annotated[int, Field(ge=2, le=LARGEST)] | None = None
    """Training clips, drawn by the seed, that carry coefficients where there are more (Nystroem). Default: all of up to
    20,000 training clips, 2,048 of more."""


class GatedKernelSection(Section):
    """Kernel ridges weighted clip by clip, `model.kind: gated_kernel`; see `rfe.model.gated_kernel`."""

    kind: Literal["gaussian", "laplace"] = "laplace"
    bandwidth: Annotated[float, Field(gt=0)] = 1.0
    """Factor of each encoder's median distance between training clips."""
    penalty: Annotated[float, Field(ge=1.0e-2)] = 1.0
    """Middle of the lambdas that each ridge chooses from by leave-one-out likelihood: 0.3, 1 and 3 times this."""
    gate: Literal["per_clip", "fixed"] = "per_clip"
    """Weights of the encoders: of each clip's own, or the same for all clips."""
    width: Annotated[int, Field(ge=1, le=1024)] = 16
    """`per_clip` only: hidden units of each encoder's gate."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 60
    """Of the gate's training, on leave-one-out answers to the training clips."""
    lr: Annotated[float, Field(gt=0)] = 5.0e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1.0e-2
    """`per_clip` only."""


class BoostingSection(Section):
    """Gradient-boosted trees, `model.kind: boosting`; see `rfe.model.boosting`."""

    iterations: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Trees for each set and each class."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    leaves: Annotated[int, Field(ge=2, le=255)] = 8
    """Most leaves of a tree."""
    min_clips: Annotated[int, Field(ge=1, le=LARGEST)] = 10
    """Fewest training clips of a leaf."""
    l2: Annotated[float, Field(ge=0)] = 1.0
    features: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the features that each split looks at, drawn by the seed."""


FITTED_KINDS = ("kernel", "gated_kernel", "boosting")
"""Values of `model.kind` that are fitted in one step, each with a section of its name; see `rfe.training.kinds`."""


class ModelSection(Section):
    kind: Literal["fusion", "concat_mlp", "kernel", "gated_kernel", "boosting"] = "fusion"
    """`concat_mlp` is the organisers' baseline: one ReLU layer on all features, softmax, KL to the soft label; of
    this section it reads `latent_dim` (its hidden width) and `dropout` only. `kernel` (kernel ridge regression),
    `gated_kernel` (one for each encoder, weighted clip by clip) and `boosting` (gradient-boosted trees) are fitted in
    one step: they read the section of their name and, with `decode.kind: valid_states`, `head_fusion.presence_weight`;
    of `loss` and `train` class balance and seeds."""
    latent_dim: Annotated[int, Field(ge=1, le=LARGEST)] = 64
    """Shared width H of the projected encoders."""
    members: Annotated[int, Field(ge=1, le=MOST_MEMBERS)] = 1
    """k models that share all weights but element-wise scales, each with its own loss; their probabilities are averaged
    (TabM, arXiv 2410.24210; see `rfe.model.members`)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    encoder_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a clip's encoders hidden at each training step, never all of them."""
    gate: GateSection = GateSection()
    n_kept: Annotated[int, Field(ge=1, le=LARGEST)] | Literal["all"] = "all"
    """How many encoders are fused per clip; more than the pool has means all of it."""
    fusion: FusionSection = FusionSection()
    heads: HeadsSection = HeadsSection()
    head_fusion: HeadFusionSection = HeadFusionSection()
    kernel: KernelSection = KernelSection()
    gated_kernel: GatedKernelSection = GatedKernelSection()
    boosting: BoostingSection = BoostingSection()


class LossSection(Section):
    presence: Literal["bce", "states", "sets"] = "bce"
    """Binary cross-entropy to the set, or the likelihood of the set among all. A set's logit is the sum of its classes'
    (`states`); `sets` adds a separate one for each pair."""
    lambda_presence: Annotated[float, Field(ge=0)] = 1.0
    lambda_salience: Annotated[float, Field(ge=0)] = 1.0
    lambda_fused: Annotated[float, Field(ge=0)] = 1.0
    lambda_auxiliary: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the loss of each encoder's own prediction of the set, which `model.gate.inputs` and
    `model.fusion.residual` read. Alone, it trains the encoders' vectors only."""
    lambda_ratio: Annotated[float, Field(gt=0)] = 1.0
    """`model.heads.ratio: pair` only: weight of the cross-entropy of a blend's ratio, given its pair."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of every target that is spread evenly, over the sets that a clip can show and over the classes."""
    balance: Literal["none", "class", "single_vs_blend"] = "none"
    """Clip weights: inverse square root of the training frequency, over the sets or the two groups."""


class AdaptationSection(Section):
    kind: Literal["none", "coral", "mmd", "dann"] = "none"
    strength: Annotated[float, Field(ge=0)] = 0.1
    domains: Literal["source_target", "actors"] = "source_target"
    """`actors` (dann only): the discriminator predicts the training actor; needs no target clips."""
    target: Literal["validation", "test"] = "validation"
    """Which unlabelled clips play the target: each fold's held-out actors, or the data's target clips."""
    batch: Annotated[int, Field(ge=2, le=LARGEST)] | None = None
    """Clips drawn from each domain per step; default max(256, 2 * latent_dim)."""


SCALED_FROM = 64
"""Clips of a batch whose learning rate is `train.lr` under every `train.lr_scaling`."""


class TrainSection(Section):
    epochs: Annotated[int, Field(ge=1, le=LARGEST)] = 20
    batch_size: Annotated[int, Field(ge=2, le=LARGEST)] = 64
    lr: Annotated[float, Field(gt=0)] = 1.0e-3
    lr_scaling: Literal["none", "sqrt", "linear"] = "none"
    """How the rate grows with the batch: `lr` is that of batches of 64, times the square root of batch_size / 64 (for
    Adam: arXiv 2205.10287), or times it (arXiv 1706.02677)."""
    weight_decay: Annotated[float, Field(ge=0)] = 1.0e-2
    optimizer: Literal["adamw", "adam"] = "adamw"
    """`adam` adds the decay to the gradient (L2), as the organisers do; `adamw` decouples it."""
    schedule: Literal["cosine", "constant"] = "cosine"
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Largest gradient norm of one replica."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """alpha of Beta(alpha, alpha): the share in which a clip's fused feature and target are mixed with another's; 0:
    they are not."""
    average: Literal["none", "ema"] = "none"
    """`ema`: the result is that of a running average of the weights."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] = 0.98
    seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)] = 1
    """How many seeds each fold is trained with; the score is the mean of the seeds' scores."""
    seed: Seed = 0
    """The first seed; the others follow."""
    data_seed: Seed = 0
    """Seed of batch order and target draws of the first seed; the others follow."""


class DecodeSection(Section):
    kind: Literal["official", "decoupled", "valid_states"] = "valid_states"
    """`official` and `decoupled` are two thresholds, for blends of 50/50 and one other ratio each way, or of none;
    `valid_states` answers any."""
    thresholds: Literal["grid", "exact"] = "grid"
    """`official` and `decoupled`: the organisers' 20 x 20 grid, or the middle of the optimal plateau."""
    design: Literal["none", "actor"] = "none"
    """`actor`, with `kind: valid_states`: all clips of an actor are answered together, their states as frequent as by
    the mean design of the training actors (see `rfe.decoding.design`). Transductive: for whole sets of clips by known
    actors of a corpus that was recorded to a plan; refused where the training actors' designs are not alike."""


class Config(Section):
    """One trial's configuration."""

    pool: Annotated[list[str], Field(min_length=1)] | Literal["all"] = "all"
    """Encoders the model may use, by name, or all of the data folder."""
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    loss: LossSection = LossSection()
    adaptation: AdaptationSection = AdaptationSection()
    train: TrainSection = TrainSection()
    decode: DecodeSection = DecodeSection()
    protocol: Literal["crossfit", "official"] = "crossfit"
    """`crossfit`: nothing reported on a fold was chosen with its labels. `official`: thresholds and epoch are chosen
    on the reported fold; only for tables beside published numbers."""

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        if self.pool != "all" and len(set(self.pool)) != len(self.pool):
            raise ValueError(f"pool names an encoder twice: {', '.join(self.pool)}")
        if self.adaptation.domains == "actors" and self.adaptation.kind not in ("dann", "none"):
            raise ValueError(f"adaptation.domains: actors needs adaptation.kind: dann, not {self.adaptation.kind}")
        reads = self.model.kind == "fusion" and self.model.gate.kind in ("attention", "shuffled")
        trained = self.loss.lambda_auxiliary > 0 or self.model.fusion.residual == "predictions"
        if reads and self.model.gate.inputs != "latent" and not trained:
            raise ValueError(
                f"model.gate.inputs: {self.model.gate.inputs} reads each encoder's own prediction, which nothing "
                "trains; set loss.lambda_auxiliary above 0 (0.3, say)"
            )
        if self.model.kind == "concat_mlp" and self.adaptation.kind != "none":
            raise ValueError("model.kind: concat_mlp has no domain adaptation; set adaptation.kind: none")
        if self.model.kind == "concat_mlp" and self.train.mixup > 0:
            raise ValueError("model.kind: concat_mlp has no fused feature to mix; set train.mixup: 0")
        if self.model.kind == "concat_mlp" and self.decode.kind == "decoupled":
            raise ValueError("model.kind: concat_mlp has one softmax head; use decode.kind: official or valid_states")
        if self.decode.design == "actor" and self.decode.kind != "valid_states":
            raise ValueError(
                "decode.design: actor acts on the distribution over states, which decode.kind: "
                f"{self.decode.kind} does not have; use decode.kind: valid_states"
            )
        if self.decode.design == "actor" and self.data.target_actors in ("pseudo", "unknown"):
            raise ValueError(
                "decode.design: actor answers each actor's clips together, but data.target_actors: "
                f"{self.data.target_actors} takes new clips' actors as not known; use data.target_actors: known"
            )
        if self.protocol == "official" and self.decode.kind != "official":
            raise ValueError(f"protocol: official needs decode.kind: official, not {self.decode.kind}")
        return self
