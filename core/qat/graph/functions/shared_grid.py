"""Concatenations whose parts are brought to one grid, as a rule asks."""

from collections.abc import Sequence

from torch import fx

from qat.enums import Site
from qat.graph.build import built_or_named, check_effect, named_injector
from qat.graph.functions.joins import dimension_of, parts_of
from qat.graph.in_place import call_in_place_of
from qat.graph.model import ConvertedModel
from qat.graph.report import LayerReport, describe
from qat.graph.rules import QuantizerChoice
from qat.nn import QuantCat


def quantize_join(
    converted: ConvertedModel, nodes: Sequence[fx.Node], name: str, choice: QuantizerChoice
) -> LayerReport:
    """Put a :class:`qat.nn.QuantCat` in place of a concatenation.

    All parts pass its one quantizer, those too that lie on a grid of their own already.

    Args:
        converted: gets the module, as ``name``.
        nodes: the same concatenation in each graph.
        name: of the concatenation.
        choice: the quantizer of the parts.
    """
    injector = named_injector(name, Site.INPUT, choice)
    module = built_or_named(name, lambda: QuantCat(injector, output_quant=None))
    check_effect(name, Site.INPUT, choice, module.input_quant)
    converted.add_submodule(name, module)
    for node in nodes:
        call_in_place_of(node, name, [parts_of(node), dimension_of(node)])
    return LayerReport(name, "QuantCat", "-", describe(module.input_quant), "-")
