"""The loss of a stack: one number per replica, none of which depends on another replica."""

import torch
from torch import Tensor

from rfe.adaptation.coral import coral
from rfe.adaptation.gradient_reversal import discriminate, domain_loss, reversal_coefficient, reverse_gradient
from rfe.adaptation.mmd import mmd
from rfe.model.auxiliary import auxiliary_loss
from rfe.model.gate import balance_loss
from rfe.model.heads import SetTensors, divergence, presence_loss
from rfe.model.pair_heads import ratio_loss
from rfe.model.stack import ModelOutput
from rfe.model.transfer import to_device
from rfe.training.settings import TrainTensors


def supervised_loss(
    sets: SetTensors,
    output: ModelOutput,
    soft_label: Tensor,
    target: Tensor,
    clip_weight: Tensor | None,
    by_states: Tensor | None,
    settings: TrainTensors,
) -> Tensor:
    """lambda_p L_presence + lambda_s L_salience + lambda_f L_fused + balance L_balance.

    Args:
        sets: of the task.
        output: of the model on a supervised batch; a model without a gate is trained on its fused probabilities alone.
        soft_label: [replica, clip, class] salience fractions.
        target: [replica, clip, set] distribution over the sets, the true one's before smoothing and mixing.
        clip_weight: [replica, clip] class-balance weights, None for all 1.
        by_states: [replica] bool, the form of the presence loss; see `presence_loss`.
        settings: the stack's.

    Returns:
        [replica] mean over clips, nats.
    """
    fused = divergence(soft_label, output.log_fused)
    if output.selection is None:
        each = fused
    else:
        presence = presence_loss(sets, output.presence_logits, target, by_states, output.pair_logits)
        salience = divergence(soft_label, output.log_salience)
        each = (
            settings.lambda_presence.unsqueeze(1) * presence
            + settings.lambda_salience.unsqueeze(1) * salience
            + settings.lambda_fused.unsqueeze(1) * fused
        )
    if clip_weight is not None:
        each = each * clip_weight
    loss = each.mean(1)
    if output.selection is not None and settings.balance_weight is not None:
        available = ~torch.isneginf(output.scores)
        loss = loss + settings.balance_weight * balance_loss(output.selection.soft, output.selection.kept, available)
    return loss


def encoders_loss(
    output: ModelOutput, target: Tensor, clip_weight: Tensor | None, settings: TrainTensors
) -> Tensor | float:
    """lambda_a L_auxiliary, of each encoder's own prediction.

    Args:
        output: of the model on a supervised batch.
        target: [replica, clip, set] distribution over the sets, of the clip itself: mixup mixes fused features only.
        clip_weight: as in `supervised_loss`, the clip's own.
        settings: the stack's.

    Returns:
        [replica] mean over clips, nats; 0 where no replica has such a loss.
    """
    if output.log_auxiliary is None or settings.lambda_auxiliary is None:
        return 0.0
    each = auxiliary_loss(output.log_auxiliary, target, ~torch.isneginf(output.scores))
    return settings.lambda_auxiliary * (each if clip_weight is None else each * clip_weight).mean(1)


def ratios_loss(
    sets: SetTensors, output: ModelOutput, shares: Tensor | None, clip_weight: Tensor | None, settings: TrainTensors
) -> Tensor | float:
    """lambda_r L_ratio, of blends' ratios given their pairs.

    Args:
        sets: of the task.
        output: of the model on a supervised batch.
        shares: [replica, clip, 2 x pair], as `ratio_loss` reads them; None where no replica has such a loss.
        clip_weight: as in `supervised_loss`.
        settings: the stack's.

    Returns:
        [replica] mean over clips, singles included, nats; 0 where no replica has such a loss.
    """
    if output.leanings is None or settings.lambda_ratio is None or shares is None:
        return 0.0
    by_pair = shares.view(*output.leanings.shape, 2)
    each = ratio_loss(output.salience_logits, output.leanings, by_pair, sets.pairs)
    return settings.lambda_ratio * (each if clip_weight is None else each * clip_weight).mean(1)


def smoothed(target: Tensor, share: Tensor, impossible: Tensor | None = None) -> Tensor:
    """Targets of which a share is spread evenly over what can be (Szegedy et al., CVPR 2016).

    Args:
        target: [replica, clip, class or set], rows sum to 1.
        share: [replica].
        impossible: [class or set] bool, those that get nothing; None: all get the same.
    """
    each = share.view(-1, 1, 1)
    if impossible is None:
        return (1 - each) * target + each / target.shape[-1]
    even = (~impossible).to(target.dtype)
    return (1 - each) * target + each * (even / even.sum())


def adaptation_losses(
    features: Tensor,
    n_source: int,
    actor: Tensor,
    progress: list[float],
    value: dict[str, Tensor],
    settings: TrainTensors,
) -> tuple[Tensor, Tensor]:
    """Discrepancy between domains on the fused feature, unweighted, and the discriminators' accuracy.

    Args:
        features: f, [replica, clip, latent]: `n_source` supervised clips, then n_drawn source and n_drawn target clips.
        n_source: clips of the supervised batch.
        actor: [replica, n_source] int, actors of the supervised clips (-1 unknown).
        progress: each replica's training progress in [0, 1].
        value: parameter values.
        settings: the stack's.

    Returns:
        loss [replica] (0 without adaptation) and accuracy [replica] (NaN without a discriminator).
    """
    loss = features.new_zeros(features.shape[0])
    accuracy = torch.full_like(loss, float("nan"))
    drawn = features[:, n_source:].float()
    n_drawn = drawn.shape[1] // 2
    for kind, form in (("coral", coral), ("mmd", mmd)):
        mine = _where([one.adaptation == kind for one in settings.settings], features.device)
        if mine is not None:
            loss = loss.index_copy(0, mine, form(drawn[mine, :n_drawn], drawn[mine, n_drawn:]))
    coefficient = to_device([reversal_coefficient(p) for p in progress], features.device)
    for actors in (False, True):
        mine = _where(
            [one.adaptation == "dann" and one.actors_as_domains == actors for one in settings.settings], features.device
        )
        if mine is None:
            continue
        seen = features[mine, :n_source].float() if actors else drawn[mine]
        domain = actor[mine] if actors else (torch.arange(2 * n_drawn, device=features.device) >= n_drawn).long()
        prefix = "discriminator.actors" if actors else "discriminator.domains"
        logits = discriminate(
            reverse_gradient(seen, coefficient[mine]),
            *(value[f"{prefix}.{part}"] for part in ("hidden_weight", "hidden_bias", "weight", "bias")),
        )
        each, right = domain_loss(logits, domain.expand(logits.shape[:2]))
        loss = loss.index_copy(0, mine, each)
        accuracy = accuracy.index_copy(0, mine, right.detach())
    return loss, accuracy


def _where(flags: list[bool], device: torch.device) -> Tensor | None:
    return to_device([i for i, flag in enumerate(flags) if flag], device) if any(flags) else None
