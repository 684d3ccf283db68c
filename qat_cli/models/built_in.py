"""The models that are part of the program, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from qat_cli.models import cnv
from qat_cli.models.fully_connected import lfc, sfc, tfc
from qat_cli.models.resnet import resnet20, resnet_small
from qat_cli.models.vit import vit_tiny

BUILT_IN: Mapping[str, Callable[..., nn.Module]] = {
    "resnet_small": resnet_small,
    "resnet20": resnet20,
    "tfc": tfc,
    "sfc": sfc,
    "lfc": lfc,
    "cnv": cnv.cnv,
    "vit_tiny": vit_tiny,
}
#: Side in pixels of the images that a model was published for and needs at least; others take any.
OWN_SIZE: Mapping[str, int] = {"cnv": cnv.SIZE}
