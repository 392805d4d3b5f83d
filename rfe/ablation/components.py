"""Named changes of a base: parts of the model to leave out, and controls that ought not to help."""

from collections.abc import Sequence
from typing import Any

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.training.build import pool_indices, stack_shape

Changes = dict[str, Any]

COMPONENTS: dict[str, Changes] = {
    "gate uniform": {"model.gate.kind": "uniform"},
    "gate static": {"model.gate.kind": "static"},
    "gate attention": {"model.gate.kind": "attention"},
    "no selection": {"model.n_kept": "all"},
    "kept weights only in the gradient": {"model.gate.gradient": "kept_only"},
    "fusion weighted_sum": {"model.fusion.kind": "weighted_sum"},
    "fusion rank_concat": {"model.fusion.kind": "rank_concat"},
    "fusion rank_embedding": {"model.fusion.kind": "rank_embedding"},
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
    "no dropout": {"model.dropout": 0.0},
    "no encoder dropout": {"model.encoder_dropout": 0.0},
    "no mixup": {"train.mixup": 0.0},
    "no running average": {"train.average": "none"},
}
"""Name -> what it changes; a component that the base has already is left out.

`no salience head` and `no presence head` are the model with one head: the other is neither trained nor read for the
set. `no probability fusion`: the fused probabilities are neither trained nor read; the presence head answers the set,
the salience head the ratio (with `decode.kind: valid_states`)."""

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
    "concat_mlp": {
        "model.kind": "concat_mlp",
        "adaptation.kind": "none",
        "decode.kind": "valid_states",
        "train.mixup": 0.0,
    },
}
"""Name -> what it changes. `gate shuffled`: each clip gets another clip's weights, so the average weight of an encoder
stays and the clip's own is lost. `places permuted` has the parameters of `places in order` and no order; compare the
two. `mean fusion, equal parameters` has a latent width that gives the plain mean as many parameters as the base."""


def control_changes(name: str, base: Config, dataset: Dataset) -> Changes:
    """What the control called `name` changes of `base`, on a data set."""
    changes = dict(CONTROLS[name])
    if name.endswith("equal parameters"):
        changes["model.latent_dim"] = width_of_equal_size(base, change_config(base, changes), dataset)
    return changes


def count_parameters(config: Config, dataset: Dataset) -> int:
    """Parameters of one model that its output can depend on, discriminators left out.

    What a uniform gate does not read, or places beyond the last kept one, is not counted, though a stack allocates it.
    """
    pool, dims, hidden = pool_indices(config, dataset), stack_shape(config, dataset).dims, config.model.latent_dim
    n_classes = dataset.clips.task.n_classes
    projections = sum(dims[encoder] * hidden for encoder in pool)
    if config.model.kind == "concat_mlp":
        return projections + hidden + n_classes * hidden + n_classes
    n_kept = len(pool) if config.model.n_kept == "all" else min(config.model.n_kept, len(pool))
    projections += 3 * len(pool) * hidden  # bias, gain, shift
    gate = 0
    if len(pool) > 1 and config.model.gate.kind not in ("uniform", "random_top_n"):
        gate = hidden + len(pool) * hidden + (0 if config.model.gate.kind == "static" else 2 * hidden**2)
    fusion = {"weighted_sum": 0, "rank_embedding": n_kept * hidden}.get(
        config.model.fusion.kind, n_kept * hidden**2 + hidden
    )
    return projections + gate + fusion + 2 * (n_classes * hidden + n_classes)


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
