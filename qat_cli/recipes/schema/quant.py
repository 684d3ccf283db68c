"""The ``quant`` section of a recipe: quantizers, with rules for exceptions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_serializer, model_validator
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from qat_cli.recipes.schema.base import StrictModel


def _plain_value(value: object) -> object:
    items = value if isinstance(value, list) else [value]
    if all(item is None or isinstance(item, bool | int | float | str) for item in items):
        return value
    raise ValueError("must be a number, a word, true, false, null, or a list of those")


OverrideValue = Annotated[Any, AfterValidator(_plain_value)]
ActivationFunction = Literal["keep", "identity", "hardtanh"]
AddGrid = Literal["shared", "own"]


class RuleQuantizerConfig(BaseModel):
    """In a rule: a quantizer, or changes to the inherited one; further keys are its attributes.

    ``{quantizer: Int8WeightPerTensorFloat, bit_width: 4}`` replaces what was there;
    ``{bit_width: 4}`` changes only that attribute of it.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, OverrideValue]

    quantizer: str | None = Field(
        default=None,
        description="Name of a quantizer in qat.quantizers; absent: keep the inherited one and "
        "change only the attributes named beside it.",
    )

    @property
    def overrides(self) -> dict[str, Any]:
        """The keys beside ``quantizer``: attribute name to value."""
        return dict(self.__pydantic_extra__)

    @model_serializer(mode="wrap")
    def _without_absent_quantizer(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {k: v for k, v in handler(self).items() if k != "quantizer" or v is not None}


class QuantizerConfig(RuleQuantizerConfig):
    """A ready-made quantizer by name; every further key overrides one of its attributes."""

    quantizer: str = Field(
        description="Name of a quantizer in qat.quantizers; further keys override its attributes, "
        "e.g. bit_width."
    )


class MatchConfig(StrictModel):
    """Which layers a rule is for: those that satisfy every key given here."""

    type: str | None = Field(
        default=None, description="Class name of the float module, e.g. Conv2d or Linear."
    )
    name: str | None = Field(
        default=None, description="Glob over the dotted module name, e.g. '*shortcut*'."
    )
    position: Literal["first", "last"] | None = Field(
        default=None,
        description="first or last: the first or last layer with weights, in order of execution.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> MatchConfig:
        if self.type is None and self.name is None and self.position is None:
            raise ValueError("name at least one of type, name, position")
        return self


class RuleConfig(StrictModel):
    """An exception for some layers. Later rules win; a role that is absent is inherited.

    A role set to null stays float. A mapping with ``quantizer`` replaces what was there; a mapping
    without it changes only the attributes it names, e.g. ``weight: {bit_width: 8}``.
    """

    match: MatchConfig = Field(description="Which layers the rule is for.")
    optional: bool = Field(
        default=False, description="Matching no layer is fine; otherwise it is an error."
    )
    weight: RuleQuantizerConfig | None = Field(default=None, description="Weight of the layer.")
    bias: RuleQuantizerConfig | None = Field(default=None, description="Bias of the layer.")
    input: RuleQuantizerConfig | None = Field(default=None, description="Input of the layer.")
    output: RuleQuantizerConfig | None = Field(default=None, description="Output of the layer.")
    activation: RuleQuantizerConfig | None = Field(
        default=None, description="Output of activation functions."
    )
    add: RuleQuantizerConfig | None = Field(default=None, description="Operands of additions.")
    add_grid: AddGrid | None = Field(
        default=None, description="Grids of additions, shared or own; absent: inherited."
    )
    activation_function: ActivationFunction | None = Field(
        default=None, description="Replaces the activation function; absent: inherited."
    )

    @model_validator(mode="after")
    def _changes_something(self) -> RuleConfig:
        if not self.sites_set and self.activation_function is None and self.add_grid is None:
            raise ValueError(
                f"the rule changes nothing: name at least one of {', '.join(SITES)}, "
                "activation_function or add_grid"
            )
        return self

    @property
    def sites_set(self) -> dict[str, RuleQuantizerConfig | None]:
        """The sites that the rule names, ``None`` where it says that the site stays float."""
        return {site: getattr(self, site) for site in SITES if site in self.model_fields_set}

    @model_serializer(mode="wrap")
    def _only_what_was_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # An absent role is inherited, a null one stays float: the two must survive a round trip.
        always = {"match", "optional"}
        said = always | set(self.sites_set)
        for key in ("activation_function", "add_grid"):
            if getattr(self, key) is not None:
                said.add(key)
        dumped = handler(self)
        dumped["match"] = {k: v for k, v in dumped["match"].items() if v is not None}
        return {key: value for key, value in dumped.items() if key in said}


class QuantConfig(StrictModel):
    """What is quantized, and how; a role left at null stays float."""

    weight: QuantizerConfig | None = Field(
        default=None, description="Weights of convolutions and linear layers."
    )
    bias: QuantizerConfig | None = Field(default=None, description="Biases of those layers.")
    input: QuantizerConfig | None = Field(
        default=None,
        description="Inputs of those layers, where what arrives is not on a grid already.",
    )
    output: QuantizerConfig | None = Field(default=None, description="Outputs of those layers.")
    activation: QuantizerConfig | None = Field(
        default=None, description="Outputs of activation functions such as ReLU."
    )
    add: QuantizerConfig | None = Field(
        default=None,
        description="Operands of additions (residual connections).",
    )
    add_grid: AddGrid = Field(
        default="shared",
        description="shared: the operands of an addition on one grid, whose integers can be added "
        "as they are; own: each tensor on one grid of its own, as in runtimes that rescale.",
    )
    activation_function: ActivationFunction = Field(
        default="keep",
        description="keep: as the model has it; identity: removed (binary inputs do its work); "
        "hardtanh: replaced by a clamp to [-1, 1].",
    )
    rules: list[RuleConfig] = Field(
        default_factory=list, description="Exceptions, in order; later rules win."
    )


#: Where quantizers sit: the words of :class:`qat.enums.Site`, whose package would import torch.
SITES = tuple(
    name
    for name, field in QuantConfig.model_fields.items()
    if field.annotation == QuantizerConfig | None
)
