"""The ``quant`` section of a recipe as rules for graph conversion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qat_cli.recipes.schema.quant import SITES, MatchConfig, QuantConfig, RuleQuantizerConfig

if TYPE_CHECKING:
    from qat.graph import Rule


def graph_rules(quant: QuantConfig) -> list[Rule]:
    """Translate a recipe's quantization for :func:`qat.graph.quantize_model`.

    Returns:
        Rule zero holds the defaults and matches every layer; then come the rules of the recipe in
        order, of which later ones win. Labels are the dotted keys, so that errors name them.
    """
    from qat.enums import Site
    from qat.graph import LayerMatch, QuantizerChoice, Rule

    def choices(
        configs: Mapping[str, RuleQuantizerConfig | None],
    ) -> dict[Site, QuantizerChoice | None]:
        return {
            Site(site): None
            if config is None
            else QuantizerChoice(quantizer=config.quantizer, overrides=config.overrides)
            for site, config in configs.items()
        }

    def layer_match(match: MatchConfig) -> LayerMatch:
        return LayerMatch(module_type=match.type, name=match.name, position=match.position)

    defaults = Rule(
        label="quant",
        match=LayerMatch(module_type=None, name=None, position=None),
        choices=choices({site: getattr(quant, site) for site in SITES}),
        activation_function=quant.activation_function,
        add_grid=quant.add_grid,
    )
    exceptions = [
        Rule(
            label=f"quant.rules.{index}",
            match=layer_match(rule.match),
            choices=choices(rule.sites_set),
            activation_function=rule.activation_function,
            add_grid=rule.add_grid,
            optional=rule.optional,
        )
        for index, rule in enumerate(quant.rules)
    ]
    return [defaults, *exceptions]
