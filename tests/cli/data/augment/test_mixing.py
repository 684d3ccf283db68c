"""Mixup and cutmix."""

import pytest
import torch

from qat_cli.data.augment.mixing import mixed
from qat_cli.recipes.schema import AugmentConfig

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 1])


def mix(seed=0, **config):
    return mixed(IMAGES, LABELS, 5, AugmentConfig(**config), seed)


def shares(labels):
    """Of each image: how much of it is its own, read off its label."""
    return labels[torch.arange(4), LABELS]


def test_mixup_blends_images_and_labels_by_the_same_share():
    images, labels = mix(mixup=1.0)
    share = shares(labels)[0].item()
    assert 0 < share < 1
    others, other_labels = IMAGES.roll(1, 0), LABELS.roll(1)
    assert torch.allclose(images, share * IMAGES + (1 - share) * others, atol=1e-6)
    one_hot = torch.nn.functional.one_hot
    expected = share * one_hot(LABELS, 5) + (1 - share) * one_hot(other_labels, 5)
    assert torch.allclose(labels, expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_pastes_a_rectangle_and_weighs_labels_by_area(seed):
    images, labels = mix(seed, cutmix=1.0)
    is_own = (images == IMAGES).all(1)
    assert (is_own | (images == IMAGES.roll(1, 0)).all(1)).all()
    assert torch.allclose(shares(labels), is_own.float().mean(dim=(1, 2)), atol=1e-6)


def test_with_both_each_batch_gets_one_of_them():
    def is_cutmix(seed):
        return bool((mix(seed, mixup=1.0, cutmix=1.0)[0] == IMAGES).any())

    assert {is_cutmix(seed) for seed in range(12)} == {True, False}


def test_the_seed_decides():
    first, again, other = (mix(seed, mixup=0.4)[1] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
