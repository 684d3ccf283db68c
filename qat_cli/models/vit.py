"""A small vision transformer: torchvision's, with few and narrow layers.

Source: Dosovitskiy et al. 2021, arXiv:2010.11929.
"""

from __future__ import annotations

from torch import nn

PATCHES = 8  # per side: 64 and the class token attend to each other


def vit_tiny(
    num_classes: int = 10, image_size: int = 32, patch_size: int | None = None
) -> nn.Module:
    """Four layers, 128 wide, of four heads; RGB images [N, 3, image_size, image_size].

    Args:
        num_classes: outputs.
        image_size: side of the square images in pixels.
        patch_size: side of a patch in pixels; None for the smallest that gives no more than 8 by 8
            of them.
    Raises:
        ValueError: ``image_size`` is not a whole number of patches.
    """
    from torchvision.models import VisionTransformer

    if not isinstance(image_size, int):
        raise ValueError(
            f"image_size is {image_size}; vit_tiny takes square images: set data.image_size=32"
        )
    side = patch_size or next(n for n in range(1, image_size + 1) if _fits(n, image_size))
    if image_size % side:
        raise ValueError(
            f"images of {image_size} pixels do not divide into patches of {side}; "
            "set data.image_size to a multiple of model.kwargs.patch_size"
        )
    return VisionTransformer(
        image_size=image_size,
        patch_size=side,
        num_layers=4,
        num_heads=4,
        hidden_dim=128,
        mlp_dim=256,
        num_classes=num_classes,
    )


def _fits(patch: int, image_size: int) -> bool:
    return image_size % patch == 0 and image_size // patch <= PATCHES
