"""CIFAR-style ResNets in plain torch: small images in, logits out.

They know nothing of quantization: ReLU and shortcut addition are functional, as in most code that
people bring, so the conversion of a model is exercised by the built-in ones too.

Source: He et al. 2016, arXiv:1512.03385, section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """``relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))``.

    Input [N, in_channels, H, W]; output [N, channels, H / stride, W / stride]. The shortcut is a
    1x1 convolution where the shape changes, the identity elsewhere.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


def _shortcut(in_channels: int, channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
    )


class SmallImageResNet(nn.Module):
    """A 3x3 stem, stages of residual blocks, global average pooling, a linear classifier.

    Args:
        in_channels: 1 for grey images, 3 for RGB.
        num_classes: outputs.
        width: channels of the first stage; each later stage has twice as many at half the size.
        blocks: residual blocks in each stage.

    Input [N, in_channels, H, W] with H, W at least ``2 ** (len(blocks) - 1)``; output
    [N, num_classes] logits.
    """

    def __init__(self, in_channels: int, num_classes: int, width: int, blocks: Sequence[int]):
        super().__init__()
        if not blocks or min(blocks) < 1 or width < 1:
            raise ValueError(f"width {width} and every entry of blocks {blocks} must be at least 1")
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        stages: list[nn.Module] = []
        channels = width
        for number, count in enumerate(blocks):
            wider = width * 2**number
            first = ResidualBlock(channels, wider, stride=1 if number == 0 else 2)
            others = (ResidualBlock(wider, wider, stride=1) for _ in range(count - 1))
            stages.append(nn.Sequential(first, *others))
            channels = wider
        self.stages = nn.Sequential(*stages)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, num_classes] of images [N, in_channels, H, W]."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.stages(out)
        out = F.adaptive_avg_pool2d(out, 1)
        return self.linear(out.flatten(1))


def resnet_small(
    in_channels: int = 1, num_classes: int = 10, width: int = 16, blocks: Sequence[int] = (1, 1, 1)
) -> SmallImageResNet:
    """A ResNet that learns small grey images in about a minute on two CPU cores."""
    return SmallImageResNet(in_channels, num_classes, width, blocks)


def resnet20(in_channels: int = 3, num_classes: int = 10) -> SmallImageResNet:
    """The 20-layer CIFAR ResNet with 1x1 convolutions as shortcuts where the shape changes."""
    return SmallImageResNet(in_channels, num_classes, width=16, blocks=(3, 3, 3))
