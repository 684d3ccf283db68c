"""Shared by all tests: seeds, and no more threads than a test needs."""

import random

import pytest


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state, whichever ran before it."""
    import torch

    random.seed(0)
    torch.manual_seed(0)
