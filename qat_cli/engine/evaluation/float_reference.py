"""Test figures of the float model behind a quantized one, for comparison."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

from qat_cli.checkpoint import WeightsFile, read_checkpoint
from qat_cli.data import Dataset
from qat_cli.engine.evaluation.measure import measure
from qat_cli.engine.setup.experiment import Experiment
from qat_cli.errors import UserError
from qat_cli.terminal.console import Console


def float_copy(experiment: Experiment) -> Experiment | None:
    """A copy of the float model, to be measured when the data is there and the model quantized.

    Args:
        experiment: the float model with its start weights.
    Returns:
        ``None`` for the rare model that cannot be copied.
    """
    try:
        return dataclasses.replace(experiment, model=copy.deepcopy(experiment.model))
    except (RuntimeError, TypeError):
        return None


def float_figures(
    copied: Experiment | None, data: Dataset, quantized: WeightsFile | None, console: Console
) -> Mapping[str, Any]:
    """Test figures of the float model that a quantized training starts from; empty if unknown.

    Float start weights are measured, which costs one pass over the test part. Weights of a
    quantized model are not what the float model had: its figures are taken from the checkpoint,
    where it records them for the same data.

    Args:
        copied: from :func:`float_copy`.
        data: with its test part in memory.
        quantized: the start weights, where they are of a quantized model.
        console: told about the measurement.
    """
    if copied is not None:
        figures = measure(dataclasses.replace(copied, dataset=data), "test", console)
        console.info(f"float model: top-1 {figures.top1:.2f} % on {figures.images} test images")
        return figures.as_dict()
    return {} if quantized is None else _recorded(quantized, data)


def _recorded(weights: WeightsFile, data: Dataset) -> Mapping[str, Any]:
    try:
        checkpoint = read_checkpoint(weights.path)
    except UserError:  # weights of another program, which were read all the same
        return {}
    recorded = checkpoint.recipe.data
    same = (recorded.name, recorded.mean, recorded.std, checkpoint.input_shape)
    if same != (data.name, data.mean, data.std, data.shape):
        return {}
    return checkpoint.metrics.get("float_test") or {}
