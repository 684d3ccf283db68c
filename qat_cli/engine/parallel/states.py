"""What a training run does beside training where several processes share it.

They start from the same weights, draw different random numbers, and may go on later in another
number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import device as Device

from qat_cli.data import Batches
from qat_cli.engine.machine import distributed
from qat_cli.engine.machine.randomness import random_states, restore_random_states, seed_everything

STEP_IMAGES = "step_images"
PROCESSES = "processes"
RANDOM = "random"
RANDOM_OF_OTHERS = "random_of_others"


def process_seed(seed: int) -> int:
    """A seed of its own for every process; that of the first is ``seed``."""
    return seed + 1_000_003 * distributed.rank()


def states_to_save(batches: Batches) -> dict[str, Any]:
    """The random states of all processes, and how many images they go through at once."""
    first, *others = distributed.gathered(random_states())
    return {
        RANDOM: first,
        RANDOM_OF_OTHERS: others,
        STEP_IMAGES: batches.step_images,
        PROCESSES: distributed.size(),
    }


def restore_states(training: Mapping[str, Any], seed: int, device: Device) -> None:
    """Go on with the random states of :func:`states_to_save`.

    A process that was not there gets a seed of its own, new in every epoch.
    """
    states = [training[RANDOM], *training.get(RANDOM_OF_OTHERS, [])]
    if distributed.rank() < len(states):
        restore_random_states(states[distributed.rank()])
    else:
        seed_everything(process_seed(seed + 1 + training["state"]["epoch"]), device)


def position(training: Mapping[str, Any], batches: Batches, accumulate: int) -> int:
    """The batch to go on with in the epoch that was begun.

    Where more or fewer images are taken at once than before, it is the last one that begins an
    optimizer step and leaves no image out: images after its beginning are seen a second time.
    """
    batch: int = training["state"]["batch"]
    step_images = training.get(STEP_IMAGES, batches.step_images)
    if step_images == batches.step_images:
        return batch
    if batch * step_images >= batches.images:  # only its validation is missing
        return len(batches)
    return batch * step_images // (batches.step_images * accumulate) * accumulate
