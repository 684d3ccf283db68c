"""Data made ready for batches: open settings decided, images decoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from qat_cli.data.dataset import Dataset
from qat_cli.data.images.preload import preloaded
from qat_cli.data.load import pinned
from qat_cli.data.normalization import measured
from qat_cli.recipes import changed
from qat_cli.recipes.schema import DataConfig
from qat_cli.terminal.console import Console


def prepared(
    dataset: Dataset, names: Iterable[str], config: DataConfig, console: Console
) -> tuple[Dataset, DataConfig]:
    """``dataset`` with its parts ``names`` ready for batches, and ``config`` with nothing open.

    Where ``config.normalize`` is ``measured``, mean and standard deviation are measured now.

    Raises:
        UserError: a part is missing, or images cannot be used.
    """
    config = pinned(config, dataset)
    dataset = preloaded(dataset, names, config, console)
    if config.normalize == "measured":
        mean, std = measured(dataset, config, console)
        dataset = dataclasses.replace(dataset, mean=mean, std=std)
        config = pinned(changed(config, {"normalize": "given"}), dataset)
    return dataset, config
