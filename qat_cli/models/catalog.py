"""What models there are by name, without building the large ones."""

from __future__ import annotations

from dataclasses import dataclass

from qat_cli.models.build import BUILT_IN, torchvision_names


@dataclass(frozen=True)
class ModelEntry:
    """One model: ``parameters`` with its usual classes; ``image_size`` in pixels, as published."""

    name: str
    source: str
    parameters: int | None
    image_size: int | None


def model_entries() -> list[ModelEntry]:
    """Built-in models, then torchvision's classifiers by name."""
    built_in = [
        ModelEntry(name, "built in", sum(p.numel() for p in factory().parameters()), None)
        for name, factory in BUILT_IN.items()
    ]
    return built_in + [_from_torchvision(name) for name in torchvision_names()]


def _from_torchvision(name: str) -> ModelEntry:
    from torchvision.models import get_model_weights

    # The published weights are described by a table: nothing is built or downloaded.
    weights = next(iter(get_model_weights(name)), None)
    if weights is None:
        return ModelEntry(name, "torchvision", None, None)
    size = weights.transforms.keywords.get("crop_size")
    return ModelEntry(name, "torchvision", weights.meta.get("num_params"), size)
