"""The table of a model's costs, from one example."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from qat.costs.storage import Storage, add_quantizer
from qat.costs.table import Costs, LayerCost, NotCounted
from qat.costs.watch import Work, observe
from qat.nn import QuantMultiheadAttention
from qat.nn.rnn.recurrent import QuantRecurrent
from qat.proxy import QuantProxy

#: Layers whose parts run in their own way: they are one row.
WHOLE = (nn.MultiheadAttention, nn.RNNBase, QuantMultiheadAttention, QuantRecurrent)
OUTSIDE = "(outside of layers)"


def measure_costs(model: nn.Module, example: Tensor) -> Costs:
    """What ``model`` costs for ``example``: bits, bytes, MACs and bit operations by layer.

    The model is run once, in evaluation mode and without gradients; it is left as it was.

    Args:
        model: float or quantized.
        example: one input as the model takes it, on its device; figures are for all of it, so give
            one image.
    """
    layers = dict(_layers(model))
    seen = observe(model, example, layers)
    storages = _storages(model, layers)
    kinds = {name: type(module).__name__ for name, module in model.named_modules() if name}
    order = [*seen.work, *(name for name in storages if name not in seen.work)]
    rows = [
        _row(name, kinds.get(name, OUTSIDE), storages.get(name, Storage()), seen.work.get(name))
        for name in order
    ]
    others = [NotCounted(name, *counts) for name, counts in seen.others.items()]
    return Costs(
        layers=[row for row in rows if row.float_bits or row.packed_bits or row.macs],
        not_counted=sorted(others, key=lambda other: -other.elements),
        not_reached=[
            name for name in storages if storages[name].parameters and name not in seen.work
        ],
    )


def _layers(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Every module with the name of the layer it belongs to; not what is inside quantizers."""
    yield from _below(model, "", "", is_part=False)


def _below(
    module: nn.Module, path: str, layer: str, is_part: bool
) -> Iterator[tuple[nn.Module, str]]:
    layer = layer if is_part or isinstance(module, QuantProxy) else path
    yield module, layer
    if isinstance(module, QuantProxy):
        return
    for name, child in module.named_children():
        below = f"{path}.{name}" if path else name
        yield from _below(child, below, layer, is_part or isinstance(module, WHOLE))


def _storages(model: nn.Module, layers: dict[nn.Module, str]) -> dict[str, Storage]:
    found: dict[str, Storage] = {}
    tensors: set[int] = set()
    for module, name in layers.items():
        storage = found.setdefault(name, Storage())
        if isinstance(module, QuantProxy):
            continue
        for tensor, is_parameter in _own_tensors(module):
            if id(tensor) not in tensors:
                tensors.add(id(tensor))
                storage.add_tensor(tensor, is_parameter)
    packed: set[int] = set()
    for module, name in layers.items():
        if isinstance(module, QuantProxy):
            add_quantizer(found[name], module, packed)
    return found


def _own_tensors(module: nn.Module) -> Iterator[tuple[Tensor, bool]]:
    for parameter in module.parameters(recurse=False):
        yield parameter, True
    for buffer in module.buffers(recurse=False):
        if buffer.is_floating_point():  # counters of batches are of no use in inference
            yield buffer, False


def _row(name: str, kind: str, storage: Storage, work: Work | None) -> LayerCost:
    work = work or Work()
    return LayerCost(
        name=name,
        kind=kind,
        weight_bits=storage.bits_per_weight,
        input_bits=work.input_bits,
        parameters=storage.parameters,
        packed_bits=storage.packed_bits,
        float_bits=storage.float_bits,
        macs=work.macs,
        bit_operations=work.bit_operations,
        scales=storage.scale_range,
    )
