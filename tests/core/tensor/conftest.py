"""Small quantized tensors of every kind of grid, made from seeded integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from qat.tensor import QuantTensor


@dataclass(frozen=True)
class Grid:
    """What a test tensor is quantized to; per channel means one entry for each of 4 channels."""

    bits: int
    signed: bool
    zero_point: float = 0.0
    per_channel: bool = False
    dtype: torch.dtype = torch.float32

    def metadata(self) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.per_channel:
            scale = torch.tensor(0.05, dtype=self.dtype)
            return scale, torch.tensor(self.zero_point, dtype=self.dtype)
        scale = torch.tensor([0.01, 0.02, 0.05, 0.1], dtype=self.dtype).reshape(1, 4, 1, 1)
        offset = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=self.dtype).reshape(1, 4, 1, 1)
        return scale, self.zero_point - offset if self.zero_point else torch.zeros_like(scale)

    def integers(self, shape: tuple[int, ...], seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        if self.signed and self.bits == 1:
            return torch.randint(0, 2, shape, generator=generator) * 2 - 1
        low = -(2 ** (self.bits - 1)) if self.signed else 0
        q = torch.randint(low, low + 2**self.bits, shape, generator=generator)
        if q.numel() > 1:
            # both ends of the range occur
            q.view(-1)[0], q.view(-1)[-1] = low, low + 2**self.bits - 1
        return q

    def make(self, shape: tuple[int, ...] = (2, 4, 4, 4), seed: int = 0) -> QuantTensor:
        scale, zero_point = self.metadata()
        value = (self.integers(shape, seed).to(self.dtype) - zero_point) * scale
        return QuantTensor(value, scale, zero_point, float(self.bits), self.signed, True)


GRIDS = {
    "int8": Grid(8, True),
    "uint8": Grid(8, False),
    "int8_shifted": Grid(8, True, -5.0),
    "uint8_shifted": Grid(8, False, 128.0),
    "int4": Grid(4, True),
    "ternary": Grid(2, True),
    "binary": Grid(1, True),
    "uint1": Grid(1, False),
    "int8_channels": Grid(8, True, per_channel=True),
    "uint8_channels_shifted": Grid(8, False, 100.0, per_channel=True),
    "int8_float64": Grid(8, True, dtype=torch.float64),
    "int8_float16": Grid(8, True, dtype=torch.float16),
    "int8_bfloat16": Grid(8, True, dtype=torch.bfloat16),
    "uint4_bfloat16": Grid(4, False, 3.0, dtype=torch.bfloat16),
}


@pytest.fixture(params=list(GRIDS))
def grid(request: pytest.FixtureRequest) -> Grid:
    return GRIDS[request.param]


@pytest.fixture(scope="session")
def grids() -> dict[str, Grid]:
    return GRIDS


#: One of each kind for what only moves elements: alone, with entries per channel, in a half type.
MOVED = ("int8_shifted", "binary", "uint8_channels_shifted", "uint4_bfloat16")


@pytest.fixture(scope="session")
def moved_grids() -> dict[str, Grid]:
    return {name: GRIDS[name] for name in MOVED}


@pytest.fixture
def assert_on_grid() -> Any:
    """Check that a result is ``expected``, on its grid, and what its integers stand for."""

    def check(result: Any, expected: torch.Tensor) -> None:
        assert isinstance(result, QuantTensor)
        assert torch.equal(result.value, expected)
        assert result.value.dtype == expected.dtype
        assert result.is_valid, f"{result.bit_width} {result.signed} {result.zero_point}"
        steps = result.int().double() - result.zero_point.double()
        rebuilt = steps * result.scale.double()
        # the value was rounded to its type twice at most; a half type may not tell neighbours apart
        relative = 4 * torch.finfo(expected.dtype).eps
        absolute = float(result.scale.max()) * (2.0 if expected.dtype.itemsize == 2 else 1e-3)
        torch.testing.assert_close(rebuilt, expected.double(), rtol=relative, atol=absolute)

    return check
