"""Named changes of a base: parts of the model to leave out, and controls that ought not to help."""

from collections.abc import Sequence
from typing import Any

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.model.settings import AGREEMENT_STATISTICS, AGREEMENT_WIDTH, RATIO_WIDTH
from rfe.training.build import pool_indices, stack_shape

Changes = dict[str, Any]

AUXILIARY = {"loss.lambda_auxiliary": 0.3}
COMPONENTS: dict[str, Changes] = {
    "gate uniform": {"model.gate.kind": "uniform"},
    "gate static": {"model.gate.kind": "static"},
    "gate attention": {"model.gate.kind": "attention"},
    "gate sees latents": {"model.gate.inputs": "latent"},
    "gate sees predictions": {"model.gate.inputs": "predictions", **AUXILIARY},
    "gate sees both": {"model.gate.inputs": "both", **AUXILIARY},
    "auxiliary loss alone": {"model.gate.inputs": "latent", "model.fusion.residual": "none", **AUXILIARY},
    "late residual": {"model.fusion.residual": "predictions", **AUXILIARY},
    "no late residual": {"model.fusion.residual": "none"},
    "no auxiliary predictions": {
        "model.gate.inputs": "latent",
        "model.fusion.residual": "none",
        "loss.lambda_auxiliary": 0.0,
    },
    "one member": {"model.members": 1},
    "four members": {"model.members": 4},
    "eight members": {"model.members": 8},
    "no selection": {"model.n_kept": "all"},
    "kept weights only in the gradient": {"model.gate.gradient": "kept_only"},
    "fusion weighted_sum": {"model.fusion.kind": "weighted_sum"},
    "fusion rank_concat": {"model.fusion.kind": "rank_concat"},
    "fusion rank_embedding": {"model.fusion.kind": "rank_embedding"},
    "fusion late": {"model.fusion.stage": "late"},
    "fusion early": {"model.fusion.stage": "early"},
    "fusion early and late": {"model.fusion.stage": "both"},
    "no salience head": {"loss.lambda_salience": 0.0, "model.head_fusion.presence_weight": 1.0},
    "no presence head": {"loss.lambda_presence": 0.0, "model.head_fusion.presence_weight": 0.0},
    "no probability fusion": {"loss.lambda_fused": 0.0, "model.head_fusion.presence_weight": 1.0},
    "head fusion linear": {"model.head_fusion.kind": "linear"},
    "head fusion geometric": {"model.head_fusion.kind": "geometric"},
    "no presence loss": {"loss.lambda_presence": 0.0},
    "no salience loss": {"loss.lambda_salience": 0.0},
    "no fused loss": {"loss.lambda_fused": 0.0},
    "no load balancing": {"model.gate.balance_weight": 0.0},
    "presence loss bce": {"loss.presence": "bce"},
    "presence loss states": {"loss.presence": "states"},
    "presence loss sets": {"loss.presence": "sets"},
    "ratio by difference": {"model.heads.ratio": "difference"},
    "ratio by pair": {"model.heads.ratio": "pair"},
    "blend head joint": {"model.heads.blend": "joint"},
    "blend head of its own": {"model.heads.blend": "own"},
    "no class balance": {"loss.balance": "none"},
    "no label smoothing": {"loss.label_smoothing": 0.0},
    "no adaptation": {"adaptation.kind": "none"},
    "adaptation coral": {"adaptation.kind": "coral", "adaptation.domains": "source_target"},
    "adaptation mmd": {"adaptation.kind": "mmd", "adaptation.domains": "source_target"},
    "adaptation dann": {"adaptation.kind": "dann", "adaptation.domains": "source_target"},
    "adaptation dann of actors": {"adaptation.kind": "dann", "adaptation.domains": "actors"},
    "standardise by fold": {"data.standardize": "fold"},
    "standardise by actor": {"data.standardize": "actor"},
    "decoder official": {"decode.kind": "official"},
    "decoder decoupled": {"decode.kind": "decoupled"},
    "decoder valid_states": {"decode.kind": "valid_states"},
    "each clip decoded by itself": {"decode.design": "none"},
    "transductive design decoder": {"decode.kind": "valid_states", "decode.design": "actor"},
    "no dropout": {"model.dropout": 0.0},
    "no encoder dropout": {"model.encoder_dropout": 0.0},
    "no mixup": {"train.mixup": 0.0},
    "no running average": {"train.average": "none"},
    "kernel gaussian": {"model.kernel.kind": "gaussian"},
    "kernel laplace": {"model.kernel.kind": "laplace"},
    "sum of kernels": {"model.kernel.combination": "sum"},
    "product of kernels": {"model.kernel.combination": "product"},
    "kernel ridges with fixed weights": {"model.gated_kernel.gate": "fixed"},
    "kernels weighed as given": {"model.kernel.weighting": "given"},
    "kernels weighed by alignment": {"model.kernel.weighting": "alignment"},
}
"""Name -> what it changes; a component that the base has already is left out.

`no salience head` and `no presence head` are the model with one head: the other is neither trained nor read for the
set. `no probability fusion`: the fused probabilities are neither trained nor read; the presence head answers the set,
the salience head the ratio (with `decode.kind: valid_states`). `auxiliary loss alone` trains each encoder's own
prediction and reads it nowhere: what is gained beside it is due to the gate or the residual that do. `transductive
design decoder` answers each actor's clips together; it is left out where the data does not allow it."""

MEAN = {"model.gate.kind": "uniform", "model.n_kept": "all", "model.fusion.kind": "weighted_sum"}
CONTROLS: dict[str, Changes] = {
    "gate shuffled": {"model.gate.kind": "shuffled"},
    "random top n": {"model.gate.kind": "random_top_n"},
    "gate static": {"model.gate.kind": "static"},
    "places permuted": {"model.fusion.kind": "rank_concat_shuffled"},
    "places in order": {"model.fusion.kind": "rank_concat"},
    "no selection": {"model.n_kept": "all"},
    "mean fusion": MEAN,
    "mean fusion, equal parameters": MEAN,
    "early fusion of all features": {**MEAN, "model.fusion.stage": "early"},
    "concat_mlp": {
        "model.kind": "concat_mlp",
        "adaptation.kind": "none",
        "decode.kind": "valid_states",
        "train.mixup": 0.0,
    },
    "kernel ridge": {"model.kind": "kernel", "decode.kind": "valid_states"},
    "gated kernel ridge": {"model.kind": "gated_kernel", "decode.kind": "valid_states"},
    "gradient boosting": {"model.kind": "boosting", "decode.kind": "valid_states"},
}
"""Name -> what it changes. `gate shuffled`: each clip gets another clip's weights, so the average weight of an encoder
stays and the clip's own is lost. `places permuted` has the parameters of `places in order` and no order; compare the
two. `mean fusion, equal parameters` has a latent width that gives the plain mean as many parameters as the base.
`early fusion of all features` is the concatenation network with this model's heads. `kernel ridge` beside a base
that is a gated one, and the other way round, has the base's kernels."""


def control_changes(name: str, base: Config, dataset: Dataset) -> Changes:
    """What the control called `name` changes of `base`, on a data set."""
    changes = dict(CONTROLS[name])
    kinds = base.model.kind, changes.get("model.kind")
    if set(kinds) == {"kernel", "gated_kernel"} and kinds[0] != kinds[1]:  # the same kernels with and without a gate
        own = getattr(base.model, kinds[0])
        changes |= {f"model.{kinds[1]}.{field}": getattr(own, field) for field in ("kind", "bandwidth")}
    if name.endswith("equal parameters"):
        changes["model.latent_dim"] = width_of_equal_size(base, change_config(base, changes), dataset)
    return changes


def count_parameters(config: Config, dataset: Dataset) -> int:
    """Parameters of one model that its output can depend on, discriminators left out.

    What a uniform gate does not read, or places beyond the last kept one, is not counted, though a stack allocates it.
    """
    pool, dims, hidden = pool_indices(config, dataset), stack_shape(config, dataset).dims, config.model.latent_dim
    model, task, n_pool = config.model, dataset.clips.task, len(pool)
    if model.kind == "kernel":  # a coefficient for each training clip and output
        return dataset.clips.n_source * (task.n_sets + task.n_classes)
    if model.kind == "gated_kernel":  # the same for each part, and its gate
        n_parts, width = n_pool + (n_pool > 1), model.gated_kernel.width
        coefficients = dataset.clips.n_source * (task.n_sets + task.n_classes)
        gate = (AGREEMENT_STATISTICS + 1) * width + 2 * width if model.gated_kernel.gate == "per_clip" else 0
        return n_parts * (coefficients + gate + 2)
    if model.kind == "boosting":  # a threshold or value for each node
        boosting = model.boosting
        return boosting.iterations * (2 * boosting.leaves - 1) * (task.n_sets + task.n_classes)
    projections = sum(dims[encoder] * hidden for encoder in pool)
    if model.kind == "concat_mlp":
        return projections + hidden + task.n_classes * (hidden + 1)
    n_kept = n_pool if model.n_kept == "all" else min(model.n_kept, n_pool)
    stage, has_pair_logits = model.fusion.stage, config.loss.presence == "sets"
    n_entries = n_pool + (stage == "both")
    is_scored = n_entries > 1 and model.gate.kind not in ("uniform", "random_top_n")
    sees_clip = is_scored and model.gate.kind != "static"
    sees_latent, sees_predictions = (sees_clip and model.gate.inputs != other for other in ("predictions", "latent"))
    predicts = sees_predictions or model.fusion.residual == "predictions"
    has_vectors = stage != "early" or sees_latent or predicts
    projections += (3 if has_vectors else 1) * n_pool * hidden  # bias, gain, shift
    projections += 0 if stage == "late" else 2 * hidden
    projections += 0 if model.members == 1 else model.members * (1 + (1 + has_vectors) * n_pool) * hidden
    gate = (1 + n_entries) * hidden + (2 * hidden**2 if sees_latent else 0) if is_scored else 0
    gate += n_pool * (AGREEMENT_STATISTICS + 2) * AGREEMENT_WIDTH if sees_predictions else 0
    gate += n_pool * (task.n_sets if has_pair_logits else task.n_classes) * (hidden + 1) if predicts else 0
    by_kind = {"weighted_sum": 0, "rank_embedding": n_kept * hidden, "rank_concat": n_kept * hidden**2 + hidden}
    fusion = by_kind[model.fusion.kind]
    heads = (2 * task.n_classes + (task.n_pairs if has_pair_logits else 0)) * (hidden + 1)
    if model.heads.blend == "own" and config.loss.presence != "bce" and task.has_both_sizes:
        heads += hidden + 1
    if model.heads.ratio == "pair" and task.has_ratios:
        heads += RATIO_WIDTH * (hidden + 2 * task.n_pairs + 1)
    return projections + gate + fusion + heads


def width_of_equal_size(base: Config, other: Config, dataset: Dataset) -> int:
    """The latent width at which `other` has as many parameters as `base`, as nearly as whole widths allow."""
    wanted = count_parameters(base, dataset)

    def gap(width: int) -> int:
        return abs(count_parameters(change_config(other, {"model.latent_dim": width}), dataset) - wanted)

    low, high = 1, 1
    while count_parameters(change_config(other, {"model.latent_dim": high}), dataset) < wanted:
        low, high = high, 2 * high
    return min(_bisected(low, high, other, dataset, wanted), key=gap)


def _bisected(low: int, high: int, other: Config, dataset: Dataset, wanted: int) -> Sequence[int]:
    while high - low > 1:
        middle = (low + high) // 2
        if count_parameters(change_config(other, {"model.latent_dim": middle}), dataset) < wanted:
            low = middle
        else:
            high = middle
    return (low, high)
