"""The evaluation loop: loss and accuracy over the batches of one part."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from qat.nn.modes import evaluating
from qat_cli.data import Batches
from qat_cli.engine.evaluation.metrics import Metrics, Tally
from qat_cli.engine.machine.stop import StopSignals
from qat_cli.engine.memory.advice import evaluation_failure, is_out_of_memory
from qat_cli.terminal.console import Console
from qat_cli.terminal.ticker import Ticker


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Batches,
    console: Console,
    label: str = "evaluating",
    tally: Tally | None = None,
    stop: StopSignals | None = None,
) -> Metrics:
    """Loss and accuracy over all batches, in evaluation mode; every mode is restored.

    Args:
        model: the classifier.
        batches: in order, unchanged.
        console: shows progress under ``label``.
        tally: counts instead of a plain one.
        stop: looked at after each batch, as often in every process.
    Returns:
        Those of the batches of all processes.
    Raises:
        WorkFailed: memory runs out; says which batch size would fit.
        Stopped: ``stop`` has got a signal.
    """
    tally = tally or Tally(batches.device)
    try:
        with evaluating(model), Ticker(console, label, batches.images) as ticker:
            for images, labels in batches.epoch():
                logits = model(images)
                tally.add(F.cross_entropy(logits, labels), logits, labels)
                ticker.update(min(tally.images * batches.share.count, batches.images))
                if stop is not None:
                    stop.check()
            for _ in range(batches.rounds - len(batches)):  # others have one more
                if stop is not None:
                    stop.check()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise evaluation_failure(error, model, batches, "train.eval_batch_size") from error
    return tally.of_all_processes().metrics()
