"""Operations of torch that a program has by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from qat.export.program import IntParameter, Kind, Operation, Reference

if TYPE_CHECKING:
    from qat.export.lowering import Node

aten = torch.ops.aten
Steps = list[Operation] | None  # None: as any other float operation


def _step(kind: Kind, x: Any, *more: Any, **fields: Any) -> Operation:
    names = tuple(each.name for each in (x, *more))
    return Operation(kind, "", names, "", fields.pop("settings", {}), **fields)


def _all(given: Any, count: int) -> tuple[int, ...]:
    numbers = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    return numbers * count if len(numbers) == 1 else numbers


class _Given:
    """Arguments of a call, by position or name."""

    def __init__(self, node: Node, *names: str) -> None:
        self.node, self.names = node, names

    def __getitem__(self, name: str) -> Any:
        position = self.names.index(name)
        return self.get(name) if position >= len(self.node.args) else self.node.args[position]

    def get(self, name: str, default: Any = None) -> Any:
        position = self.names.index(name)
        if position < len(self.node.args):
            return self.node.args[position]
        return self.node.kwargs.get(name, default)


def _weight(node: Node, given: Any) -> IntParameter | Tensor | None:
    return node.weights.get(id(given), given) if isinstance(given, Tensor) else None


def _layer(kind: Kind, node: Node, given: _Given, settings: Mapping[str, Any]) -> Steps:
    x, weight, bias = given["x"], _weight(node, given["weight"]), given.get("bias")
    if not isinstance(x, Reference) or weight is None or isinstance(bias, Reference):
        return None
    bias = None if bias is None else bias.detach().double()
    return [_step(kind, x, settings=settings, weight=weight, bias=bias)]


def _convolution(node: Node) -> Steps:
    names = ("x", "weight", "bias", "stride", "padding", "dilation", "groups")
    given = _Given(node, *names)
    dims = len(node.shape) - 2
    settings = {name: _all(given.get(name, 1), dims) for name in ("stride", "dilation")}
    padding = given.get("padding", 0)
    if isinstance(padding, str):
        kernel = given["weight"].shape[2:]
        reach = [d * (k - 1) for d, k in zip(settings["dilation"], kernel, strict=True)]
        if padding == "same" and any(each % 2 for each in reach):
            return None
        padding = [each // 2 if padding == "same" else 0 for each in reach]
    settings["padding"] = _all(padding, dims)
    return _layer(Kind.CONVOLUTION, node, given, {**settings, "groups": given.get("groups", 1)})


def _transposed(node: Node) -> Steps:
    names = ("x", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
    given = _Given(node, *names)
    dims = len(node.shape) - 2
    usual = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}
    settings: dict[str, Any] = {n: _all(given.get(n, u), dims) for n, u in usual.items()}
    settings |= {"groups": given.get("groups", 1), "transposed": True}
    return _layer(Kind.CONVOLUTION, node, given, settings)


def _linear(node: Node) -> Steps:
    return _layer(Kind.LINEAR, node, _Given(node, "x", "weight", "bias"), {})


def _batch_norm(node: Node) -> Steps:
    """Of ``_native_batch_norm_legit_no_training``, the one with running statistics."""
    given = _Given(node, "x", "weight", "bias", "mean", "var", "momentum", "eps")
    mean, var = given["mean"], given["var"]
    if not isinstance(mean, Tensor) or not isinstance(given["x"], Reference):
        return None
    factor = (var.double() + given["eps"]).rsqrt()
    if given["weight"] is not None:
        factor = factor * given["weight"].double()
    shift = -mean.double() * factor
    if given["bias"] is not None:
        shift = shift + given["bias"].double()
    return [_step(Kind.AFFINE, given["x"], settings={"factor": factor, "shift": shift})]


def _relu(node: Node) -> Steps:
    return [_step(Kind.RELU, node.args[0])]


def _clip(low: float, high: float) -> Callable[[Node], Steps]:
    def read(node: Node) -> Steps:
        given = _Given(node, "x", "low", "high")
        ends = given.get("low", low), given.get("high", high)
        if any(isinstance(end, (Reference, Tensor)) for end in ends):
            return None
        if ends[0] == 0 and ends[1] is None:
            return [_step(Kind.RELU, given["x"])]
        if None in ends:
            return None
        settings = {"low": float(ends[0]), "high": float(ends[1])}
        return [_step(Kind.CLIP, given["x"], settings=settings)]

    return read


def _add(node: Node) -> Steps:
    first, second = node.args[:2]
    both = isinstance(first, Reference) and isinstance(second, Reference)
    if not both or node.kwargs.get("alpha", 1) != 1:
        return None
    if len({len(node.shapes[first.name]), len(node.shapes[second.name])}) != 1:
        return None
    return [_step(Kind.ADD, first, second)]


def _max_pool(node: Node) -> Steps:
    given = _Given(node, "x", "kernel", "stride", "padding", "dilation", "ceil")
    dims = len(node.shape) - 2
    settings: dict[str, Any] = {"kernel": _all(given["kernel"], dims)}
    settings["stride"] = _all(given.get("stride") or given["kernel"], dims)
    settings["padding"] = _all(given.get("padding", 0), dims)
    settings["dilation"] = _all(given.get("dilation", 1), dims)
    settings["ceil"] = bool(given.get("ceil", node.kwargs.get("ceil_mode", False)))
    return [_step(Kind.MAX_POOL, given["x"], settings=settings)]


def _average_pool(node: Node) -> Steps:
    given = _Given(node, "x", "kernel", "stride", "padding", "ceil", "count", "divisor")
    dims = len(node.shape) - 2
    if given.get("divisor") is not None:
        return None
    settings: dict[str, Any] = {"kernel": _all(given["kernel"], dims)}
    settings["stride"] = _all(given.get("stride") or given["kernel"], dims)
    settings["padding"] = _all(given.get("padding", 0), dims)
    settings["ceil"] = bool(given.get("ceil", node.kwargs.get("ceil_mode", False)))
    counted = given.get("count", node.kwargs.get("count_include_pad", True))
    settings["count_padding"] = bool(counted)
    return [_step(Kind.AVERAGE_POOL, given["x"], settings=settings)]


def _adaptive_pool(node: Node) -> Steps:
    x = node.args[0]
    sizes, wanted = node.shapes[x.name][2:], node.shape[2:]
    if all(size == 1 for size in wanted):
        return [_step(Kind.GLOBAL_POOL, x)]
    if any(size % each for size, each in zip(sizes, wanted, strict=True)):
        return None
    kernel = tuple(size // each for size, each in zip(sizes, wanted, strict=True))
    settings = {"kernel": kernel, "stride": kernel, "padding": (0,) * len(kernel)}
    settings |= {"ceil": False, "count_padding": True}  # type: ignore[dict-item]
    return [_step(Kind.AVERAGE_POOL, x, settings=settings)]


def _mean(node: Node) -> Steps:
    given = _Given(node, "x", "dims", "keep")
    x, dims = given["x"], given.get("dims")
    count = len(node.shapes[x.name])
    behind = [*range(2, count)]
    if dims is None or count < 3 or sorted(dim % count for dim in dims) != behind:
        return None
    pool = _step(Kind.GLOBAL_POOL, x)
    if given.get("keep", node.kwargs.get("keepdim", False)):
        return [pool]
    return [pool, _step(Kind.FLATTEN, x, settings={"start": 1})]


def _flatten(node: Node) -> Steps:
    given = _Given(node, "x", "start", "end")
    x = given["x"]
    count = len(node.shapes[x.name])
    start, end = given.get("start", 0) % count, given.get("end", -1) % count
    if start != 1 or end != count - 1:
        return None
    return [_step(Kind.FLATTEN, x, settings={"start": 1})]


def _view(node: Node) -> Steps:
    x = node.args[0]
    before = node.shapes[x.name]
    keeps_batch = node.shape[0] == before[0]
    if keeps_batch and len(node.shape) == 2 and len(before) > 2:
        return [_step(Kind.FLATTEN, x, settings={"start": 1})]
    return None


def _concatenate(node: Node) -> Steps:
    parts: Sequence[Any] = node.args[0]
    axis = _Given(node, "parts", "dim").get("dim", 0)
    if not all(isinstance(part, Reference) for part in parts):
        return None
    axis = axis % len(node.shape)
    return [_step(Kind.CONCATENATE, *parts, settings={"axis": axis})]


READERS: Mapping[Any, Callable[[Node], Steps]] = {
    aten.adaptive_avg_pool1d.default: _adaptive_pool,
    aten.adaptive_avg_pool2d.default: _adaptive_pool,
    aten.adaptive_avg_pool3d.default: _adaptive_pool,
    aten.add.Tensor: _add,
    aten.add_.Tensor: _add,
    aten.avg_pool1d.default: _average_pool,
    aten.avg_pool2d.default: _average_pool,
    aten.avg_pool3d.default: _average_pool,
    aten._native_batch_norm_legit_no_training.default: _batch_norm,
    aten.cat.default: _concatenate,
    aten.clamp.default: _clip(None, None),  # type: ignore[arg-type]
    aten.clamp_min.default: _clip(None, None),  # type: ignore[arg-type]
    aten.conv1d.default: _convolution,
    aten.conv1d.padding: _convolution,
    aten.conv2d.default: _convolution,
    aten.conv2d.padding: _convolution,
    aten.conv3d.default: _convolution,
    aten.conv3d.padding: _convolution,
    aten.conv_transpose1d.default: _transposed,
    aten.conv_transpose2d.input: _transposed,
    aten.conv_transpose3d.input: _transposed,
    aten.flatten.using_ints: _flatten,
    aten.hardtanh.default: _clip(-1.0, 1.0),
    aten.hardtanh_.default: _clip(-1.0, 1.0),
    aten.linear.default: _linear,
    aten.max_pool1d.default: _max_pool,
    aten.max_pool2d.default: _max_pool,
    aten.max_pool3d.default: _max_pool,
    aten.mean.dim: _mean,
    aten.relu.default: _relu,
    aten.relu_.default: _relu,
    aten.relu6.default: _clip(0.0, 6.0),
    aten.reshape.default: _view,
}
