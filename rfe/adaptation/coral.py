"""CORAL: align mean and covariance of source and target features."""

from torch import Tensor


def coral(source: Tensor, target: Tensor) -> Tensor:
    """||C_s - C_t||_F^2 / (4 H^2) + ||mean_s - mean_t||^2 / H.

    Args:
        source: fused features of source clips, [replica, clip, latent], at least 2 clips.
        target: of target clips, [replica, clip, latent].

    Returns:
        [replica], 0 for equal moments.

    Source: Sun & Saenko, arXiv 1607.01719, equation 1; the mean term is ours.

    Examples:
        >>> import torch
        >>> features = torch.randn(1, 8, 4)
        >>> coral(features, features).tolist(), round(coral(features, features + 2).item(), 3)
        ([0.0], 4.0)
    """
    width = source.shape[-1]
    mean_source, mean_target = source.mean(1), target.mean(1)  # [replica, latent]
    gap = _covariance(source, mean_source) - _covariance(target, mean_target)
    return gap.square().sum((1, 2)) / (4 * width**2) + (mean_source - mean_target).square().sum(1) / width


def _covariance(values: Tensor, mean: Tensor) -> Tensor:
    centred = values - mean.unsqueeze(1)
    return centred.transpose(1, 2) @ centred / (values.shape[1] - 1)
