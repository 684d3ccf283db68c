"""The convolutional network of the BNN-PYNQ family, in float.

Six 3x3 convolutions without padding, two pools and three linear layers, after VGG. Activations are
hard tanh, for the reason given in :mod:`qat_cli.models.fully_connected`.

Source: Umuroglu et al. 2017, FINN, arXiv:1612.07119, section 5.
"""

from __future__ import annotations

from torch import Tensor, nn

from qat_cli.models.bnn_layers import BATCH_NORM_EPS, NormedLinear, start_evenly
from qat_cli.models.built_in import OWN_SIZE

CHANNELS = (64, 64, 128, 128, 256, 256)
POOL_BEHIND = (1, 3)  # a 2x2 maximum behind these convolutions
WIDTH = 512
SIZE = OWN_SIZE["cnv"]  # as published; smaller images leave nothing for the last convolution


class Cnv(nn.Module):
    """Convolutions 64, 64, pool, 128, 128, pool, 256, 256; linear layers 512, 512, classes.

    Args:
        in_channels: 1 for grey images, 3 for RGB.
        num_classes: outputs.
        image_size: side of the square images in pixels, at least 32; larger ones widen the first
            linear layer.

    Input [N, in_channels, image_size, image_size]; output [N, num_classes] logits, which a batch
    norm brings to a common size.
    """

    def __init__(self, in_channels: int, num_classes: int, image_size: int) -> None:
        super().__init__()
        side = _last_side(image_size)
        features: list[nn.Module] = []
        channels = in_channels
        for number, wider in enumerate(CHANNELS):
            features += [
                nn.Conv2d(channels, wider, 3, bias=False),
                nn.BatchNorm2d(wider, eps=BATCH_NORM_EPS),
                nn.Hardtanh(),
            ]
            features += [nn.MaxPool2d(2)] if number in POOL_BEHIND else []
            channels = wider
        self.features = nn.Sequential(*features)
        self.hidden = nn.Sequential(
            NormedLinear(channels * side * side, WIDTH), NormedLinear(WIDTH, WIDTH)
        )
        self.classifier = NormedLinear(WIDTH, num_classes, last=True)
        start_evenly(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, num_classes] of images [N, in_channels, image_size, image_size]."""
        return self.classifier(self.hidden(self.features(x).flatten(1)))


def _last_side(image_size: int) -> int:
    """Side of what the last convolution gives: 1 for images of 32."""
    if not isinstance(image_size, int) or image_size < SIZE:
        raise ValueError(
            f"image_size is {image_size}; cnv takes square images of {SIZE}x{SIZE} pixels or more: "
            f"set data.image_size={SIZE}"
        )
    side = image_size
    for number in range(len(CHANNELS)):
        side -= 2  # no padding
        side //= 2 if number in POOL_BEHIND else 1
    return side


def cnv(in_channels: int = 3, num_classes: int = 10, image_size: int = SIZE) -> Cnv:
    """The network for CIFAR-10 and SVHN."""
    return Cnv(in_channels, num_classes, image_size)
