"""ResNet-20 in float, 4 bit and 1 bit, with a training step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measure import Work

BATCH_SIZE, IMAGE, CLASSES = 64, (3, 32, 32), 10
ENDLESS = 10**9  # steps of a statistics phase that outlasts the measurement


def statistics_phase(steps: int) -> list[str]:
    """Changes of the recipe ``resnet_w4a4`` that give its activations that many such steps."""
    return [f"quant.{role}.collect_stats_steps={steps}" for role in ("input", "activation")]


#: Recipe and its changes by the name of the variant; the float model has none.
VARIANTS: Mapping[str, tuple[str, list[str]] | None] = {
    "float": None,
    "learned": ("resnet_w4a4", statistics_phase(1)),
    "collecting": ("resnet_w4a4", statistics_phase(ENDLESS)),
    "binary": ("binary_resnet", []),
}
#: As the rows of the table call them.
TITLES = {
    "learned": "W4A4, learned scales",
    "collecting": "W4A4, statistics phase",
    "binary": "binary",
}
#: Steps after which ``learned`` has left its statistics phase and the heap grows no more.
WARMUP = 8


def make_model(variant: str) -> nn.Module:
    """The model in training mode, converted as the recipe of ``variant`` says."""
    from qat.graph import quantize_model
    from qat_cli.models.resnet import resnet20
    from qat_cli.recipes import graph_rules, load_recipe

    model: nn.Module = resnet20(in_channels=IMAGE[0], num_classes=CLASSES)
    chosen = VARIANTS[variant]
    if chosen is not None:
        recipe = load_recipe(*chosen)
        assert recipe.quant is not None
        rules = graph_rules(recipe.quant)
        model = quantize_model(model, rules, torch.zeros(1, *IMAGE)).model
    return model.train()


def make_batch(device: torch.device) -> tuple[Tensor, Tensor]:
    """Random images, float32 [64, 3, 32, 32], and labels, int64 [64]."""
    images = torch.randn(BATCH_SIZE, *IMAGE, device=device)
    return images, torch.randint(CLASSES, (BATCH_SIZE,), device=device)


def training_step(model: nn.Module, images: Tensor, labels: Tensor) -> Work:
    """Forward, cross entropy, backward, a step of SGD with momentum."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def work() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return work


def make_step(variant: str, device: torch.device) -> Work:
    """A training step of a fresh model on one batch, the same one again and again."""
    torch.manual_seed(0)
    return training_step(make_model(variant).to(device), *make_batch(device))
