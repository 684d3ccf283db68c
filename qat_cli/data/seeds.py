"""Seeds from names: the same name always gives the same seed."""

from __future__ import annotations

import hashlib

import torch


def seed_of(*name: object) -> int:
    """A seed in [0, 2**32), of which torch's generator on the CPU takes all bits in."""
    digest = hashlib.blake2b(repr(name).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def generator_of(*name: object) -> torch.Generator:
    """A generator on the CPU with the seed of ``name``."""
    return torch.Generator().manual_seed(seed_of(*name))
