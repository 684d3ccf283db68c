"""Conversion and calibration to 8 bit of torchvision, or timm.

For each model: seconds of conversion, layers with a quantized weight, the largest difference in
float, and the signal to noise ratio of the 8 bit outputs, beside that of
:mod:`benchmarks.independent`. Weights are random, batch norms have statistics; images are noise.

Exit code 0 if every model reaches the goals, 1 otherwise.
"""

from __future__ import annotations

import argparse
import fnmatch
import functools
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.independent import quantized_by_hooks

MOST_PARAMETERS = 150e6
IMAGES, LEAST_DB, BEHIND_DB, TOLERANCE = 16, 20.0, 1.0, 1e-5
#: Image sizes of models that do not take the usual small one.
SIZES = {"vit_*": 224, "maxvit_*": 224, "inception_v3": 299, "alexnet": 96, "vgg*": 64}
SIZE = 96
#: Of a module of timm's, so many models whose names sound small are looked at.
CANDIDATES, MOST_OF_SMALL, SIZE_OF_TIMM = 4, 30e6, 128
SMALL = ("atto", "femto", "pico", "nano", "micro", "xxs", "_xs", "tiny", "_050", "_t",
         "mini", "small", "_s", "18", "b0", "_0", "a1")  # fmt: skip


@dataclass
class Result:
    """One model's figures.

    Args:
        name: in torchvision.
        seconds: of conversion.
        layers: with a weight, in the float model.
        quantized: of those, with a quantized weight.
        difference: in float, relative to the largest output.
        decibels: of the 8 bit outputs, by batch size.
        independent: the same of the independent quantization.
        notes: of the conversion.
        failed: what did not hold.
    """

    name: str
    seconds: float = 0.0
    layers: int = 0
    quantized: int = 0
    difference: float = 0.0
    decibels: dict[str, float] = field(default_factory=dict)
    independent: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def torchvision_models(only: str) -> Iterator[tuple[str, nn.Module, int]]:
    """Name, model and image size of each classifier that is not too large."""
    from torchvision import models

    for name in models.list_models(module=models):
        weights: Any = [*models.get_model_weights(name)][0]
        if not fnmatch.fnmatchcase(name, only) or weights.meta["num_params"] > MOST_PARAMETERS:
            continue
        torch.manual_seed(0)
        more = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
        size = next((size for glob, size in SIZES.items() if fnmatch.fnmatchcase(name, glob)), SIZE)
        yield name, models.get_model(name, **more), size


def timm_models(only: str) -> Iterator[tuple[str, nn.Module, int]]:
    """The same of one small model for each module of timm, which has to be installed."""
    import timm

    for family in timm.list_modules():
        names = [name for name in timm.list_models(only, module=family) if "test_" not in name]
        names.sort(key=_largeness)
        small = min(names[:CANDIDATES], key=_parameters, default=None)
        if small is None or _parameters(small) > MOST_OF_SMALL:
            continue
        torch.manual_seed(0)
        model = timm.create_model(small)
        about = model.default_cfg
        fixed = about.get("fixed_input_size") or about["input_size"][-1] < SIZE_OF_TIMM
        yield small, model, about["input_size"][-1] if fixed else SIZE_OF_TIMM


def _largeness(name: str) -> tuple[int, str]:
    """The place of the first word for a small model in a name; names without one are last."""
    places = [place for place, word in enumerate(SMALL) if word in name]
    return (min(places, default=len(SMALL)), name)


@functools.cache
def _parameters(name: str) -> int:
    import timm

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in timm.create_model(name).parameters())


LIBRARIES = {"torchvision": torchvision_models, "timm": timm_models}


@torch.no_grad()
def give_statistics(model: nn.Module, images: Tensor) -> None:
    """Let batch norms see ``images``, as if the model had been trained on such."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and not bool(module.weight.any()):
            nn.init.normal_(module.weight, std=0.02)  # heads that start from zero say nothing
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the true average
        norm.reset_running_stats()
    if norms:
        model.train()(images)
    for norm in norms:
        norm.momentum = 0.1
    model.eval()


def measure(name: str, model: nn.Module, size: int) -> Result:
    """All figures of one model."""
    result = Result(name)
    images = torch.randn(IMAGES, 3, size, size)
    other = torch.randn(4, 3, size, size)
    give_statistics(model, images)
    try:
        _measure(result, model, images, other)
    except Exception as error:  # whatever the conversion of this model raises is its result
        result.failed.append(f"{type(error).__name__}: {error}")
    return result


@torch.no_grad()
def _measure(result: Result, model: nn.Module, images: Tensor, other: Tensor) -> None:
    from qat.graph import quantize_model
    from qat.ptq import calibration_mode
    from qat_cli.recipes import graph_rules, load_recipe

    quant = load_recipe("resnet_w8a8_ptq", []).quant
    assert quant is not None
    started = time.perf_counter()
    converted = quantize_model(model, graph_rules(quant), images[:1])
    result.seconds = time.perf_counter() - started
    result.notes = converted.notes
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    result.layers = sum(isinstance(module, kinds) for module in model.modules())
    rows = [row.weight for row in converted.layers]
    result.quantized = sum(weight not in ("-", "float") for weight in rows)
    made = converted.model.eval()
    wanted = model(images)
    with calibration_mode(made):  # computes in float
        result.difference = float((made(images) - wanted).abs().max() / wanted.abs().max())
    independent = quantized_by_hooks(model, [images])
    for size in (1, 4):
        signal = model(other[:size])
        result.decibels[str(size)] = decibels(signal, made(other[:size]))
        result.independent[str(size)] = decibels(signal, independent(other[:size]))
    _judge(result)


def _judge(result: Result) -> None:
    if result.quantized < result.layers:
        result.failed.append(f"{result.layers - result.quantized} weights in float")
    if not result.difference <= TOLERANCE:
        result.failed.append(f"in float it differs by {result.difference:.1e}")
    for size, found in result.decibels.items():
        if found < LEAST_DB and found < result.independent[size] - BEHIND_DB:
            result.failed.append(f"{found:.1f} dB for batch {size}")


def decibels(signal: Tensor, made: Tensor) -> float:
    """Signal to noise ratio: ``10 log10(sum signal^2 / sum (made - signal)^2)``."""
    noise = float((made - signal).double().square().sum())
    power = float(signal.double().square().sum())
    return 10 * math.log10(power / noise) if noise > 0 else math.inf


def line(result: Result) -> str:
    """The result as a row of the table."""
    figures = [result.decibels.get(size, math.nan) for size in ("1", "4")]
    others = [result.independent.get(size, math.nan) for size in ("1", "4")]
    return (
        f"{result.name:<24}{result.seconds:7.2f} s{result.quantized:6d}/{result.layers:<5d}"
        f"{result.difference:9.1e}{figures[0]:8.1f}{figures[1]:7.1f} dB"
        f"{others[0]:8.1f}{others[1]:7.1f} dB  {'; '.join(result.failed) or 'ok'}"
    )


def main() -> int:
    """1 if a model misses a goal, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=[*LIBRARIES], default="torchvision")
    parser.add_argument("--only", default="*", help="names to take, such as 'resnet*'")
    parser.add_argument("--out", type=Path, help="file of results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'model':<24}{'converts':>9}{'weights':>12}{'float':>9}{'qat, batch 1, 4':>18}"
          f"{'by hooks':>18}", flush=True)  # fmt: skip
    results = []
    for name, model, size in LIBRARIES[options.library](options.only):
        results.append(measure(name, model, size))
        print(line(results[-1]), flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps([asdict(each) for each in results], indent=1) + "\n")
    return 1 if any(result.failed for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
