"""Keeping freed memory in the process, for the next training step.

A step allocates and frees the same few hundred megabytes of activations as the one before. By
default glibc gives large blocks back to the system at once, and the system hands out fresh zeroed
pages at the next step: with ResNet-20 in batches of 128 that took a fifth of the processor's time.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

# From malloc.h, with the variables by which a user sets the same thing.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
USER_SETTINGS = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_MMAP_MAX_",
)


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Ask the C library for memory that stays with the process when it is freed.

    Args:
        environment: variables that say whether the user has settled this.
    Returns:
        It was done; ``False`` where the C library is not glibc or the user has set it up.
    """
    is_settled = "glibc.malloc" in environment.get("GLIBC_TUNABLES", "") or any(
        environment.get(name) for name in USER_SETTINGS
    )
    if is_settled or platform.libc_ver()[0] != "glibc":
        return False
    import ctypes  # not on every platform

    mallopt = ctypes.CDLL(None).mallopt
    # No block is mapped on its own, and none is cut off the end of the heap (-1: never).
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))
