"""The list of models by name, with parameters and image size."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from qat_cli.models.build import built_in_factory, torchvision_names
from qat_cli.models.built_in import BUILT_IN, OWN_SIZE
from qat_cli.models.timm_models import timm_names


@dataclass(frozen=True)
class ModelEntry:
    """One model: ``parameters`` with its usual classes and size; ``image_size`` as published.

    Those of timm are listed by name only: building them all would take minutes.
    """

    name: str
    source: str
    parameters: int | None
    image_size: int | None


def model_entries() -> list[ModelEntry]:
    """Built-in models, then torchvision's classifiers, then those of timm where it is installed."""
    built_in = [
        ModelEntry(name, "built in", _parameters(built_in_factory(name)()), OWN_SIZE.get(name))
        for name in BUILT_IN
    ]
    in_torchvision = [_from_torchvision(name) for name in torchvision_names()]
    return built_in + in_torchvision + [ModelEntry(n, "timm", None, None) for n in timm_names()]


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _from_torchvision(name: str) -> ModelEntry:
    from torchvision.models import get_model_weights

    # The published weights are described by a table: nothing is built or downloaded.
    weights = next(iter(get_model_weights(name)), None)
    if weights is None:
        return ModelEntry(name, "torchvision", None, None)
    size = weights.transforms.keywords.get("crop_size")
    return ModelEntry(name, "torchvision", weights.meta.get("num_params"), size)
