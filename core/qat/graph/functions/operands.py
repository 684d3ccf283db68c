"""Operands of products, quantized where a rule asks for it."""

from collections.abc import Sequence

from torch import fx

from qat.enums import Site
from qat.graph.build import built_or_named, check_effect, named_injector
from qat.graph.functions.products import is_operand, operands_of, product_of
from qat.graph.model import ConvertedModel
from qat.graph.on_grid import lies_on_grid
from qat.graph.report import LayerReport, describe
from qat.graph.rules import QuantizerChoice
from qat.nn import QuantIdentity


def quantize_operands(
    converted: ConvertedModel, nodes: Sequence[fx.Node], name: str, choice: QuantizerChoice
) -> LayerReport:
    """Put a quantizer in front of each operand that is an activation and on no grid.

    Args:
        converted: gets the quantizers, as ``name.operand_0`` and so on.
        nodes: the same product in each graph.
        name: of the product.
        choice: the quantizer of each operand.
    """
    shown = "-"
    for index, operand in enumerate(operands_of(nodes[0])):
        if lies_on_grid(converted, operand):
            continue
        injector = named_injector(name, Site.INPUT, choice)
        module = built_or_named(name, lambda: QuantIdentity(injector))  # noqa: B023  called at once
        check_effect(name, Site.INPUT, choice, module.act_quant)
        shown = describe(module.act_quant)
        converted.add_submodule(f"{name}.operand_{index}", module)
        for node in nodes:
            _quantize(node, index, f"{name}.operand_{index}")
    return LayerReport(name, str(product_of(nodes[0])), "-", shown, "-")


def _quantize(node: fx.Node, index: int, module: str) -> None:
    given = operands_of(node)[index]
    with node.graph.inserting_before(node):
        quantized = node.graph.call_module(module, (given,))
    quantized.meta = {key: item for key, item in given.meta.items() if key != "aliases"}
    left = iter(range(len(operands_of(node))))

    def replaced(argument: fx.Node) -> fx.Node:
        is_it = is_operand(argument) and next(left) == index
        return quantized if is_it else argument

    node.args = fx.node.map_arg(node.args, replaced)
