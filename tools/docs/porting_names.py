"""Table of the public names of Brevitas and their places here.

The ground of ``porting.md``.

A name that qat has too, in the module that :data:`COUNTERPARTS` names, needs no entry. One that is
called otherwise stands in :data:`RENAMED`, one that is not there in :data:`MISSING` with the
reason. The names themselves are in ``brevitas_names.json`` (see :mod:`tools.docs.brevitas_names`).
"""

import importlib
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tools.docs.brevitas_names import FILE

#: Brevitas package (the longest that fits counts) -> ours.
COUNTERPARTS = {
    "brevitas.config": "qat.config",
    "brevitas.core": "qat.components",
    "brevitas.function": "qat.ops",
    "brevitas.inject": "qat.inject",
    "brevitas.inject.enum": "qat.enums",
    "brevitas.nn": "qat.nn",
    "brevitas.proxy": "qat.proxy",
    "brevitas.quant": "qat.quantizers",
    "brevitas.quant_tensor": "qat",
}

#: Brevitas name -> ours, with its module.
RENAMED = {
    "brevitas.quant_tensor.int_quant_tensor.IntQuantTensor": "qat.QuantTensor",
    "brevitas.quant_tensor.float_quant_tensor.FloatQuantTensor": "qat.QuantTensor",
    "brevitas.quant_tensor.groupwise_int_quant_tensor.GroupwiseIntQuantTensor": "qat.QuantTensor",
    "brevitas.quant_tensor.groupwise_float_quant_tensor.GroupwiseFloatQuantTensor": (
        "qat.QuantTensor"
    ),
    "brevitas.inject.BaseInjector": "qat.inject.ExtendedInjector",
    "brevitas.proxy.quant_proxy.QuantProxyFromInjector": "qat.proxy.QuantProxy",
    "brevitas.core.utils.SingleArgStatelessBuffer": "qat.components.StatelessBuffer",
    "brevitas.core.bit_width.float.ComputeExponentBias": "qat.formats.standard_bias",
    "brevitas.core.bit_width.float.StaticExponentBias": "qat.formats.FloatFormat",
    "brevitas.core.bit_width.float.ComputeMaxMantissa": "qat.formats.FloatFormat",
    "brevitas.core.bit_width.float.StaticMaxMantissa": "qat.formats.FloatFormat",
    "brevitas.function.ops.compute_max_mantissa": "qat.formats.FloatFormat",
    "brevitas.function.ops.max_float": "qat.formats.FloatFormat",
    "brevitas.nn.utils.merge_bn": "qat.nn.merging.merge_batch_norm",
}

ONE_PROXY_PER_ROLE = (
    "a proxy serves a role, not a format: the one of weights, activations or biases takes every "
    "quantizer; a quantizer of your own that named this class names none"
)
#: Pattern of full Brevitas names -> why there is nothing of the name.
MISSING = {
    "brevitas.config.LOGGING_LEVEL": "Python's `logging` and `warnings` filters decide",
    "brevitas.config.env_to_bool": "private here; a value that is not a boolean is an error",
    "brevitas.config.strtobool": "private here; a value that is not a boolean is an error",
    "brevitas.quant.solver.*": (
        "how words become parts is in `qat.quantizers.resolvers`; declare the attribute itself "
        "(`scaling_impl = MyScaling`) in place of a solver"
    ),
    "brevitas.quant.base.*": (
        "mixins that quantizers are composed of: the presets in `qat.quantizers.presets` have the "
        "same purpose, cut along attributes"
    ),
    "brevitas.quant.float_base.*": "as for `brevitas.quant.base`",
    "brevitas.quant.*Mixin": "as for `brevitas.quant.base`",
    "brevitas.core.bit_width.parameter.*": "constants that are private here",
    "brevitas.core.function_wrapper.clamp.FloatClamp": "part of `FloatQuant`",
    "brevitas.core.function_wrapper.misc.*": "torch's own functions do",
    "brevitas.core.function_wrapper.ops_ste.ScalarSignedClampMinSte": (
        "part of the scalings that keep their sign (`restrict_scaling_type` `signed_fp`)"
    ),
    "brevitas.core.function_wrapper.shape.*SubChannelBlockView": (
        "`GroupwiseQuant` applies any quantizer to groups; no view is needed"
    ),
    "brevitas.core.function_wrapper.shape.dynamic_over_sub_channel_block_view": (
        "`GroupwiseQuant` applies any quantizer to groups; no view is needed"
    ),
    "brevitas.core.function_wrapper.shape.PermuteDims": "argument `permute_dims` of the views",
    "brevitas.core.function_wrapper.shape.StatsInputViewShapeImpl": (
        "a list of the views: name the view itself"
    ),
    "brevitas.core.function_wrapper.shape.*": (
        "no quantizer uses it; `OverOutputChannelView(permute_dims)` puts any dimension first"
    ),
    "brevitas.core.function_wrapper.stochastic_round.stochastic_round_ste_fn": (
        "the module `StochasticRoundSte` does it"
    ),
    "brevitas.core.quant.float.min_internal_scale": "a constant that is private here",
    "brevitas.core.restrict_val.QuantRestrictValue": (
        "scales that are quantized themselves are not built; a power of two is the restriction "
        "that hardware asks for"
    ),
    "brevitas.core.scaling.float_scaling.RoundMidMaxSte": (
        "rounding to the power of two that is nearest in the middle of a binade: no ready-made "
        "quantizer uses it; give a module of your own as `restrict_value_float_to_int_impl`"
    ),
    "brevitas.function.ops.calculate_midmax_bias": "as for `RoundMidMaxSte`",
    "brevitas.core.scaling.runtime.RuntimeDynamicGroupStatsScaling": (
        "inside `GroupwiseQuant` every dynamic scaling is one of groups"
    ),
    "brevitas.core.zero_point.RuntimeDynamicGroupZeroPoint": (
        "inside `GroupwiseQuant` every dynamic zero point is one of groups"
    ),
    "brevitas.core.*.[A-Z][A-Z]*_*[A-Z]": "constants that are private here",
    "brevitas.core.stats.stats_op.*": (
        "private to the statistics; a statistic of your own needs no registration"
    ),
    "brevitas.core.utils.*": "private to the components",
    "brevitas.function.ops.get_upper_bound_on_l1_norm": (
        "private to the accumulator-aware pre-scaling"
    ),
    "brevitas.function.ops.identity": "torch's own functions do",
    "brevitas.function.ops.round_to_zero": "`torch.trunc`; with a gradient `round_to_zero_ste`",
    "brevitas.function.ops.tensor_clamp_": "with a gradient `tensor_clamp_ste_`",
    "brevitas.function.shape.*": "the views of `qat.components` are modules",
    "brevitas.nn.equalized_layer.*": (
        "rotation and equalization of language models: post-training methods, not built yet"
    ),
    "brevitas.nn.hadamard_classifier.*": "a float layer without quantizers: out of scope",
    "brevitas.nn.quant_activation.*": "torch's own module is applied",
    "brevitas.nn.quant_rnn.*": "private to the recurrent layers",
    "brevitas.nn.target.*": "layers for one compiler; near: `QuantAvgPool2d`, `QuantLeakyReLU`",
    "brevitas.nn.utils.*": "private to the conversion of models, see `qat.graph`",
    "brevitas.proxy.utils.*": (
        "`qat.ptq.calibration_mode` fixes scales from statistics on leaving"
    ),
    "brevitas.nn.mixin.*": (
        "base classes of layers: derive from a layer of `qat.nn`, or hold a proxy (`make_proxy`)"
    ),
    "brevitas.nn.quant_layer.*": "as for `brevitas.nn.mixin`",
    "brevitas.quant_tensor.*_handler": "how torch functions treat a `QuantTensor`: private here",
    "brevitas.quant_tensor.*torch_handler.*": (
        "how torch functions treat a `QuantTensor`: private here"
    ),
    "brevitas.quant_tensor.base_quant_tensor.*": "one class, `qat.QuantTensor`, holds every grid",
    "brevitas.proxy.*Protocol": "typing aid; the classes themselves serve",
    "brevitas.proxy.*Base": "base class; derive from the proxy of the role",
    "brevitas.proxy.*groupwise*": ONE_PROXY_PER_ROLE,
    "brevitas.proxy.float_*": ONE_PROXY_PER_ROLE,
    "brevitas.proxy.parameter_quant.*": ONE_PROXY_PER_ROLE,
    "brevitas.proxy.runtime_quant.*": ONE_PROXY_PER_ROLE,
}


@dataclass(frozen=True)
class Port:
    """One name of Brevitas.

    Args:
        module, name: in Brevitas.
        ours: ``module.name`` here, or None where there is none.
        reason: why there is none.
    """

    module: str
    name: str
    ours: str | None
    reason: str = ""

    @property
    def full_name(self) -> str:
        """``module.name`` in Brevitas."""
        return f"{self.module}.{self.name}"

    @property
    def is_renamed(self) -> bool:
        """Whether it is here under another name."""
        return self.ours is not None and not self.ours.endswith(f".{self.name}")


def ports() -> list[Port]:
    """Every public name of Brevitas and where it is here, as the library is now.

    One that is neither here nor in a table has no ``reason``; the tests refuse it.
    """
    names = json.loads(FILE.read_text())["names"]
    return [_port(module, name) for module, members in names.items() for name in members]


def brevitas_version() -> str:
    """The release whose names these are."""
    return str(json.loads(FILE.read_text())["version"])


def package_of(module: str) -> str:
    """The package of :data:`COUNTERPARTS` that a module of Brevitas belongs to."""
    return max((p for p in COUNTERPARTS if f"{module}.".startswith(f"{p}.")), key=len)


def counterpart(module: str) -> str:
    """Our module for a module of Brevitas."""
    return COUNTERPARTS[package_of(module)]


def is_there(full_name: str) -> bool:
    """Whether ``module.Name`` or ``module.Name.MEMBER`` can be imported."""
    parts = full_name.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for part in parts[split:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def reason_for(full_name: str) -> str | None:
    """Why there is no such name here, by the first pattern that fits."""
    return next((why for glob, why in MISSING.items() if fnmatchcase(full_name, glob)), None)


def _port(module: str, name: str) -> Port:
    full = f"{module}.{name}"
    if full in RENAMED:
        return Port(module, name, RENAMED[full])
    ours = f"{counterpart(module)}.{name}"
    if is_there(ours):
        return Port(module, name, ours)
    return Port(module, name, None, reason_for(full) or "")
