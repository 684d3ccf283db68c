"""The table of models that are part of the program.

It imports no torch: completion reads it.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Name of a model, which is that of its factory, and the file beside this one that has it.
BUILT_IN: Mapping[str, str] = {
    "resnet_small": "resnet",
    "resnet20": "resnet",
    "tfc": "fully_connected",
    "sfc": "fully_connected",
    "lfc": "fully_connected",
    "cnv": "cnv",
    "vit_tiny": "vit",
}
#: Side in pixels of the images that a model was published for and needs at least; others take any.
OWN_SIZE: Mapping[str, int] = {"cnv": 32}
