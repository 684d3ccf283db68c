"""The fully connected networks of the BNN-PYNQ family, in float.

Hard tanh is the function that a sign approximates in training, so a recipe that puts a binary
quantizer in its place changes the values only, not the gradient. So it is in front of the first
layer too: a rule for ``input_act`` says how many bits the images have.

Source: Umuroglu et al. 2017, FINN, arXiv:1612.07119, section 5; Hubara et al. 2016,
arXiv:1602.02830, for training them.
"""

from __future__ import annotations

from torch import Tensor, nn

from qat_cli.models.bnn_layers import NormedLinear, check_positive, start_evenly

DROPOUT = 0.2  # of the published networks, in front of the first layer and behind each hidden one
HIDDEN_LAYERS = 3


class FullyConnected(nn.Module):
    """Three hidden layers of the same width, each with batch norm, hard tanh and dropout.

    Args:
        width: neurons of a hidden layer.
        in_channels: 1 for grey images, 3 for RGB.
        num_classes: outputs.
        image_size: side of the square images in pixels, or (height, width).

    Input [N, in_channels, height, width], normalised: what is beyond +-1 is cut off; output
    [N, num_classes] logits, which a batch norm brings to a common size.
    """

    def __init__(
        self, width: int, in_channels: int, num_classes: int, image_size: int | tuple[int, int]
    ) -> None:
        super().__init__()
        height, breadth = (image_size, image_size) if isinstance(image_size, int) else image_size
        check_positive(width=width, height=height, breadth=breadth, num_classes=num_classes)
        pixels = in_channels * height * breadth
        self.input_act = nn.Hardtanh()
        self.input_dropout = nn.Dropout(DROPOUT)
        hidden: list[nn.Module] = []
        for inputs in (pixels, *[width] * (HIDDEN_LAYERS - 1)):
            hidden += [NormedLinear(inputs, width), nn.Dropout(DROPOUT)]
        self.hidden = nn.Sequential(*hidden)
        self.classifier = NormedLinear(width, num_classes, last=True)
        start_evenly(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, num_classes] of images [N, in_channels, height, width]."""
        out = self.input_dropout(self.input_act(x.flatten(1)))
        return self.classifier(self.hidden(out))


def tfc(
    in_channels: int = 1, num_classes: int = 10, image_size: int | tuple[int, int] = 28
) -> FullyConnected:
    """The tiny one: hidden layers of 64."""
    return FullyConnected(64, in_channels, num_classes, image_size)


def sfc(
    in_channels: int = 1, num_classes: int = 10, image_size: int | tuple[int, int] = 28
) -> FullyConnected:
    """The small one: hidden layers of 256."""
    return FullyConnected(256, in_channels, num_classes, image_size)


def lfc(
    in_channels: int = 1, num_classes: int = 10, image_size: int | tuple[int, int] = 28
) -> FullyConnected:
    """The large one: hidden layers of 1024."""
    return FullyConnected(1024, in_channels, num_classes, image_size)
