"""The base class of proxies, which hold and rebuild a quantizer."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from qat import config, jit
from qat.enums import Role, ScalingPerOutputType, choice
from qat.formats import FloatFormat, Format
from qat.granularity import Granularity, PerAxis, PerGroup, PerRow, PerTensor
from qat.inject import ExtendedInjector
from qat.proxy.fusion import describe
from qat.quantizers.resolve.bit_widths import with_bit_width
from qat.tensor.kind import UNKNOWN, GridKind

#: Attributes that proxies read themselves, beside those that ``tensor_quant`` is built from.
_READ_BY_PROXIES = frozenset({"signed", "requires_input_scale", "proxy_class"})


class QuantProxy(nn.Module):
    """Lives in a layer and owns the ``tensor_quant`` that an injector declares.

    The injector is resolved with ``module`` set to the layer, or to the tuple of layers that share
    the proxy, in the order of sharing. Loading a state dict rebuilds the quantizer from the weights
    loaded before it, then loads the quantizer's own entries over it (see ``qat.config``
    ``REINIT_ON_STATE_DICT_LOAD`` and ``IGNORE_MISSING_KEYS``). Learned parameters keep their
    identity over a rebuild, so that an optimizer made before goes on updating those in use.

    Args:
        layer: the module that the proxy is made for.
        injector: declaration of the quantizer, or None for no quantization.
    """

    #: What it quantizes; None: whatever a quantizer is given to it for.
    role: Role | None = None
    tensor_quant: nn.Module | None
    #: Sign and kind of the numbers that the quantizer gives, as declared; see :attr:`format`.
    kind: GridKind

    def __init__(self, layer: nn.Module, injector: type[ExtendedInjector] | None) -> None:
        super().__init__()
        self.injector = injector
        self.disable_quant = False
        # A plain list: the layers own the proxy, not the other way round.
        self.tracked_modules: list[nn.Module] = []
        self.tensor_quant = None
        self.kind = UNKNOWN
        self._stand_ins: dict[str, Any] = {}
        self._attributes_used: frozenset[str] = frozenset()
        self.register_load_state_dict_post_hook(_forgive_missing_keys)
        self.add_tracked_module(layer)

    @property
    def quant_injector(self) -> Any:
        """The declaration with ``module`` bound to the layer, or to the tuple of layers.

        With what :meth:`set_bit_width` put in place of declared attributes.
        """
        if self.injector is None:
            return None
        tracked = self.tracked_modules
        module = tracked[0] if len(tracked) == 1 else tuple(tracked)
        return self.injector.let(module=module, **self._stand_ins)

    @property
    def bit_width_set(self) -> int | None:
        """What :meth:`set_bit_width` put in place of the declared bit width; None for nothing."""
        return self._stand_ins.get("bit_width")

    @property
    def is_quant_enabled(self) -> bool:
        """Whether values passing through are quantized."""
        return self.tensor_quant is not None and not self.disable_quant

    @property
    def is_identity(self) -> bool:
        """Whether nothing would happen in a call, nobody watching: layers then leave it out."""
        watched = self._forward_hooks or self._forward_pre_hooks
        return self.tensor_quant is None and not watched

    @property
    def is_signed(self) -> bool | None:
        """``signed`` as declared by the quantizer; None where it is not."""
        return self._declared("signed")

    @property
    def float_format(self) -> FloatFormat | None:
        """``float_format`` as declared by the quantizer; None for a grid of integers."""
        return self._declared("float_format")

    @property
    def format(self) -> Format | None:
        """The numbers of the grid now in use, for exporters, costs and packing.

        An :class:`qat.formats.IntFormat` of the bits in use, learned ones rounded as they are used,
        or a :class:`qat.formats.FloatFormat`. None where nothing is quantized, or the grid depends
        on the layer's input. Reads the bit width: not for code that is compiled.
        """
        if not self.is_quant_enabled:
            return None
        with torch.no_grad():
            return self.kind.with_bits(self._bits_in_use())

    @property
    def granularity(self) -> Granularity | None:
        """How many elements share a scale, as declared, for exporters, costs and packing.

        None without quantizer, or where the scales are not the quantizer's own.
        """
        if self.tensor_quant is None:
            return None
        kind = self._scales_per()
        if kind is ScalingPerOutputType.CHANNEL:
            return PerAxis(self._channel_axis())
        if kind is ScalingPerOutputType.GROUP:
            return PerGroup(self._declared("group_dim"), self._declared("group_size"))
        return PerRow() if kind is ScalingPerOutputType.ROW else PerTensor()

    def has_effect(self, attribute: str) -> bool:
        """Whether the quantizer or its proxy uses this attribute of the declaration."""
        return attribute in self._attributes_used or attribute in _READ_BY_PROXIES

    def add_tracked_module(self, layer: nn.Module) -> None:
        """Share the proxy with one more layer; its quantizer is built anew for all of them."""
        self.tracked_modules.append(layer)
        try:
            self.init_tensor_quant()
        except BaseException:
            self.tracked_modules.pop()  # the layers before go on as they were
            raise

    def init_tensor_quant(self) -> None:
        """Build the quantizer from its declaration and the layers as they are now."""
        if self.injector is None:
            return
        declared = self.quant_injector
        fresh, self._attributes_used = declared.resolve_with_reads("tensor_quant")
        self.kind = _declared_kind(declared)
        if fresh is None:  # quant_type "fp": no quantizer
            self.tensor_quant = None
            return
        self._check_groups(fresh)
        place = self._reference_tensor()
        if place is not None:
            fresh.to(device=place.device, dtype=place.dtype)
        if self.tensor_quant is not None:
            self._keep_parameters(self.tensor_quant, fresh)
        fresh.train(self.training)
        self.tensor_quant = fresh

    def set_bit_width(self, bit_width: int | None) -> None:
        """Build the quantizer anew with another bit width than the declared one.

        A learned scale starts again from the statistic of the weight on the new grid; one of
        activations keeps its range. Loading a state dict afterwards keeps the bit width. A binary
        quantizer becomes an integer one, see
        :func:`qat.quantizers.resolve.bit_widths.with_bit_width`.

        Args:
            bit_width: whole number from 1 to 32; None for the declared one.
        Raises:
            ValueError: the quantizer cannot have this many bits; it stays as it was.
        """
        if self.injector is None:
            return
        before = self._stand_ins
        try:
            self._stand_ins = {} if bit_width is None else with_bit_width(self.injector, bit_width)
            self.init_tensor_quant()
            self._check_bit_width(bit_width)
        except BaseException:
            self._stand_ins = before
            self.init_tensor_quant()
            raise

    def has_own_scale(self) -> bool:
        """Whether the scale follows from the quantizer alone, without the layer's input."""
        return True

    def scale(self) -> Tensor | None:
        """The scale now in use, or None where nothing is quantized."""
        return self._probe(1)

    def zero_point(self) -> Tensor | None:
        """The zero point now in use, or None where nothing is quantized."""
        return self._probe(2)

    def bit_width(self) -> Tensor | None:
        """The bit width now in use, or None where nothing is quantized."""
        own = getattr(self.tensor_quant, "msb_clamp_bit_width_impl", None)
        if own is not None and self.is_quant_enabled:  # without quantizing anything
            return own()
        return self._probe(3)

    def extra_repr(self) -> str:
        if self.tensor_quant is None:
            # one that waits for something to quantize has not read its declaration yet
            return "float" if self.injector is None or self._attributes_used else ""
        return describe(self.tensor_quant)

    def _bits_in_use(self) -> Tensor | None:
        return self.bit_width()

    def _scales_per(self) -> ScalingPerOutputType:
        word = self._declared("scaling_per_output", ScalingPerOutputType.TENSOR)
        return choice(ScalingPerOutputType, word, "scaling_per_output")

    def _channel_axis(self) -> int:
        """Dimension that scales per channel lie along."""
        return 0

    def _probe(self, index: int) -> Tensor | None:
        raise NotImplementedError(f"{type(self).__name__} does not say what it quantizes")

    def _reference_tensor(self) -> Tensor | None:
        # What the new quantizer's device and dtype follow; subclasses know what they quantize.
        if self.tensor_quant is None:
            return None
        held = [*self.tensor_quant.parameters(), *self.tensor_quant.buffers()]
        return next((tensor for tensor in held if tensor.is_floating_point()), None)

    def _declared(self, name: str, default: Any = None) -> Any:
        if self.injector is None or name not in self.injector:
            return default
        return getattr(self.quant_injector, name)

    def _check_bit_width(self, wanted: int | None) -> None:
        if wanted in (None, self.injector.bit_width):  # type: ignore[union-attr]
            return
        with torch.no_grad():
            found = self.bit_width()
        if found is not None and int(found) < wanted:
            raise ValueError(
                f"{self.injector.__name__} has {int(found)} bits, whatever bit_width says; "  # type: ignore[union-attr]
                f"{wanted} bits need another quantizer."
            )

    def _check_groups(self, fresh: nn.Module) -> None:
        if self._scales_per() is ScalingPerOutputType.GROUP and not hasattr(fresh, "group_quant"):
            layer, kind = type(self.tracked_modules[0]).__name__, type(fresh).__name__
            raise NotImplementedError(
                f"{layer}: scaling_per_output_type is 'group' for a {kind}, which is named as "
                f"tensor_quant; name it as group_quant, with tensor_quant GroupwiseQuant, or use "
                f"another granularity."
            )

    def _keep_parameters(self, old: nn.Module, fresh: nn.Module) -> None:
        kept = dict(old.named_parameters(remove_duplicate=False))
        owners = dict(fresh.named_modules(remove_duplicate=False))
        for name, parameter in list(fresh.named_parameters(remove_duplicate=False)):
            before = kept.get(name)
            if before is None:
                continue
            if before.shape != parameter.shape:
                warnings.warn(
                    f"the quantizer's learned {name} changed its shape from {tuple(before.shape)} "
                    f"to {tuple(parameter.shape)}: make the optimizer anew, it holds the old one.",
                    RuntimeWarning,
                    stacklevel=4,
                )
                continue
            with torch.no_grad():
                before.copy_(parameter)
            owner, _, leaf = name.rpartition(".")
            setattr(owners[owner], leaf, before)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, metadata: Any, strict: bool, *lists: Any
    ) -> None:
        self.__dict__["_loading_prefix"] = prefix
        if config.REINIT_ON_STATE_DICT_LOAD:
            self.init_tensor_quant()
        super()._load_from_state_dict(state_dict, prefix, metadata, strict, *lists)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        quantizer = self._modules.get("tensor_quant")
        if quantizer is not None and jit.is_scripted(quantizer):
            state["_modules"] = {**self._modules, "tensor_quant": None}
            state["_scripted_quantizer"] = (*jit.to_bytes(quantizer), self.training)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        scripted = state.pop("_scripted_quantizer", None)
        super().__setstate__(state)
        if scripted is not None:
            data, hidden, training = scripted
            self._modules["tensor_quant"] = jit.from_bytes(data, hidden).train(training)


def _declared_kind(declared: Any) -> GridKind:
    def of(name: str, default: Any = None) -> Any:
        return getattr(declared, name) if name in declared else default

    return GridKind(of("signed"), bool(of("narrow_range", False)), of("float_format"))


def _forgive_missing_keys(proxy: QuantProxy, incompatible_keys: Any) -> None:
    """After loading: go on with statistics where they were; forgive what is missing, if asked."""
    prefix = proxy.__dict__.pop("_loading_prefix", None)
    for module in proxy.modules():
        if hasattr(module, "collecting"):
            module.collecting = True  # type: ignore[assignment]
    if prefix is not None and config.IGNORE_MISSING_KEYS:
        missing = incompatible_keys.missing_keys
        missing[:] = [key for key in missing if not key.startswith(f"{prefix}tensor_quant.")]
