"""Training with the forward pass in half precision.

Layers compute in the half type where torch's autocast says that this is safe. Weights, optimizer
and the tensors of quantizers (scales, zero points, statistics) stay float32, and evaluation is
float32 throughout: its figures are those of the model that is deployed.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from qat_cli.errors import UserError

CPU = torch.device("cpu")
DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class Precision:
    """The type that ``train.precision`` names, for the forward pass.

    Args:
        name: a key of ``DTYPES``.
        device: of the model.
    Attributes:
        scaler: multiplies losses whose gradients would vanish in float16, and skips steps whose
            gradients overflowed; passes everything through for the other types.
    Raises:
        UserError: the device cannot compute in that type.
    """

    def __init__(self, name: str = "float32", device: torch.device = CPU) -> None:
        self._dtype, self._device = DTYPES[name], device.type
        if (
            name == "bfloat16"
            and device.type == "cuda"
            and not torch.cuda.is_bf16_supported(including_emulation=False)
        ):
            raise UserError(
                f"device {device} does not compute in bfloat16; use --precision float16."
            )
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "float16")

    def autocast(self) -> torch.autocast:
        """Inside this context operations compute in the type."""
        is_half = self._dtype != torch.float32
        return torch.autocast(self._device, self._dtype if is_half else None, enabled=is_half)
