"""Mixup and cutmix: images of a batch mixed with their labels."""

from __future__ import annotations

import torch
from torch import Tensor

from qat_cli.recipes.schema import AugmentConfig


def mixed(
    images: Tensor, labels: Tensor, classes: int, config: AugmentConfig, seed: int
) -> tuple[Tensor, Tensor]:
    """The batch after mixup (Zhang et al. 2017, arXiv:1710.09412) or cutmix (Yun et al. 2019,
    arXiv:1905.04899), by torchvision; one of the two at random where ``config`` asks for both.

    torchvision draws from torch's global generator, which is put back as it was.

    Args:
        images: float [B, C, H, W], normalised: blending does not care.
        labels: int64 [B].
        classes: how many there are.
        config: ``config.mixes`` is true.
        seed: the same seed gives the same result.
    Returns:
        Images like ``images``, and float32 [B, classes]: probabilities, each row of sum 1.
    """
    from torchvision.transforms import v2

    kinds = ((v2.MixUp, config.mixup), (v2.CutMix, config.cutmix))
    mixers = [kind(alpha=alpha, num_classes=classes) for kind, alpha in kinds if alpha > 0]
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would seed a GPU's generator too.
        torch.random.default_generator.manual_seed(seed)
        mixer = mixers[int(torch.randint(len(mixers), ()))]
        return mixer(images, labels)
