"""Integers of 1 to 8 bits packed into bytes, lowest bit first."""

import torch
from torch import Tensor

from qat.formats import IntFormat


def pack_bits(integers: Tensor, format: IntFormat) -> Tensor:
    """Pack integers into ``ceil(n * bits / 8)`` bytes.

    Integer ``i`` takes the bits ``i * b`` to ``(i + 1) * b - 1`` of the stream, bit ``k`` of which
    is bit ``k % 8`` of byte ``k // 8``. Signed integers are in two's complement, so that 4 and 2
    bits lie as ONNX's int4 and int2 do; binary ones are 0 for -1 and 1 for +1.

    Args:
        integers: of an integer type, any shape, on the grid of ``format``.
        format: of 1 to 8 bits.
    Returns:
        uint8 ``[ceil(n * bits / 8)]``, on the device of ``integers``; unused bits are 0.
    Raises:
        ValueError: more than 8 bits, or an integer outside the format.

    >>> pack_bits(torch.tensor([-8, 7, -1]), IntFormat(4)).tolist()
    [120, 15]
    """
    codes = _codes(integers.reshape(-1), format)
    bits = (codes.unsqueeze(1) >> torch.arange(format.bits, device=codes.device)) & 1
    stream = bits.reshape(-1)
    filled = torch.nn.functional.pad(stream, (0, -stream.numel() % 8)).reshape(-1, 8)
    weights = 1 << torch.arange(8, device=codes.device)
    return (filled * weights).sum(dim=1).to(torch.uint8)


def unpack_bits(packed: Tensor, format: IntFormat, count: int) -> Tensor:
    """Inverse of :func:`pack_bits`.

    Args:
        packed: uint8 ``[ceil(count * bits / 8)]``.
        format: as it was packed.
        count: how many integers there are.
    Returns:
        ``[count]``, int8, or uint8 where the format is unsigned.
    Raises:
        ValueError: another number of bytes than ``count`` integers take.

    >>> unpack_bits(torch.tensor([120, 15], dtype=torch.uint8), IntFormat(4), 3).tolist()
    [-8, 7, -1]
    """
    _check_bits(format)
    needed = -(-count * format.bits // 8)
    if packed.numel() != needed:
        raise ValueError(
            f"{count} integers of {format.bits} bit take {needed} bytes, but there are "
            f"{packed.numel()}."
        )
    stream = (packed.to(torch.int64).unsqueeze(1) >> torch.arange(8, device=packed.device)) & 1
    bits = stream.reshape(-1)[: count * format.bits].reshape(count, format.bits)
    codes = (bits << torch.arange(format.bits, device=packed.device)).sum(dim=1)
    if format.is_binary:
        codes = 2 * codes - 1
    elif format.signed:
        codes = codes - ((codes >= 2 ** (format.bits - 1)).to(codes.dtype) << format.bits)
    return codes.to(torch.int8 if format.signed else torch.uint8)


def _codes(integers: Tensor, format: IntFormat) -> Tensor:
    _check_bits(format)
    wide = integers.to(torch.int64)
    inside = (wide >= format.min_value) & (wide <= format.max_value)
    if format.is_binary:
        inside &= wide != 0
    if not bool(inside.all()):
        raise ValueError(
            f"integers from {int(wide.min())} to {int(wide.max())} are not all on the grid of "
            f"{format.name}, which goes from {format.min_value} to {format.max_value}."
        )
    return (wide + 1) // 2 if format.is_binary else wide & (2**format.bits - 1)


def _check_bits(format: IntFormat) -> None:
    if format.bits > 8:
        raise ValueError(f"{format.name} has {format.bits} bits; up to 8 are packed.")
