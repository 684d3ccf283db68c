"""Backend and threads put back after a benchmark has set them."""

import pytest
import torch

from qat import config


@pytest.fixture(autouse=True)
def process_settings():
    """Flags and threads as they were, whatever a benchmark has set."""
    threads, jit = torch.get_num_threads(), config.JIT_ENABLED
    config.JIT_ENABLED = False  # while it is on, the other flag reads true whatever it was set to
    native = config.NATIVE_STE_BACKEND_ENABLED
    config.JIT_ENABLED = jit
    yield
    torch.set_num_threads(threads)
    config.JIT_ENABLED = False
    config.NATIVE_STE_BACKEND_ENABLED = native
    config.JIT_ENABLED = jit
