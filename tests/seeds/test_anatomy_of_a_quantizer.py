"""The tutorial "Anatomy of a Quantizer", cell by cell, in its order.

What the text prints of random numbers is stated as a claim: the values that may occur, the fields
of a ``QuantTensor``, which scale equals which. Classes that a cell declares are declared here at
the place of that cell.
"""

import inspect
import re

import pytest
import torch
from torch import nn

from qat import QuantTensor, config
from qat.components import BinaryQuant, ClampedBinaryQuant, ParameterScaling
from qat.inject import DependencyError, ExtendedInjector, this, value
from qat.nn import QuantConv2d, QuantIdentity, QuantReLU
from qat.proxy import ActQuantProxyFromInjector, WeightQuantProxyFromInjector
from qat.quantizers import Int8ActPerTensorFloat


@pytest.fixture(autouse=True)
def flags_as_in_the_text(backend, monkeypatch):
    """Defaults for the two flags of state dicts; the whole text holds on every backend."""
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", False)
    monkeypatch.setattr(config, "REINIT_ON_STATE_DICT_LOAD", True)


def assert_binary(quantized, inp, scale):
    """``tensor_quant(inp)`` gave ``quantized``: sign times scale, zero point 0, one bit."""
    out, used_scale, zero_point, bit_width = quantized
    torch.testing.assert_close(out, torch.where(inp >= 0, scale, -scale))
    torch.testing.assert_close(used_scale, torch.as_tensor(scale))
    assert zero_point.shape == () and zero_point == 0
    assert bit_width.shape == () and bit_width == 1


def assert_binary_quant_tensor(x, shape, scale):
    """``x`` is what the text prints: a value of plus or minus ``scale``, zero point 0, one bit."""
    assert isinstance(x, QuantTensor)
    assert x.value.shape == shape and x.value.requires_grad
    torch.testing.assert_close(x.value.abs(), torch.as_tensor(scale).expand(shape))
    torch.testing.assert_close(x.scale.reshape(-1), torch.as_tensor(scale).reshape(-1))
    assert x.scale.requires_grad
    assert x.zero_point == 0 and x.bit_width == 1
    assert x.training_t.item() is True


# What's in a quantizer


def test_cell_01_a_ready_made_quantizer_is_an_injector():
    assert issubclass(Int8ActPerTensorFloat, ExtendedInjector) is True


PRINTED_TREE = """\
RescalingIntQuant(
  (int_quant): IntQuant(
    (float_to_int_impl): RoundSte()
    (tensor_clamp_impl): TensorClamp()
    (delay_wrapper): DelayWrapper(
      (delay_impl): _NoDelay()
    )
  )
  (scaling_impl): ParameterFromRuntimeStatsScaling(
    (stats_input_view_shape_impl): OverTensorView()
    (stats): _Stats(
      (stats_impl): AbsPercentile()
    )
    (restrict_scaling): _RestrictValue(
      (restrict_value_impl): FloatRestrictValue()
    )
    (clamp_scaling): _ClampValue(
      (clamp_min_ste): ScalarClampMinSte()
    )
    (restrict_inplace_preprocess): Identity()
    (restrict_preprocess): Identity()
  )
  (int_scaling_impl): IntScaling()
  (zero_point_impl): ZeroZeroPoint(
    (zero_point): StatelessBuffer()
  )
  (msb_clamp_bit_width_impl): BitWidthConst(
    (bit_width): StatelessBuffer()
  )
)"""


def tree(module, indent=""):
    """``repr(module)``, with the names of the classes that a scripted module was compiled from."""
    name = getattr(module, "original_name", type(module).__name__)
    children = [
        f"{indent}  ({label}): {tree(child, indent + '  ')}\n"
        for label, child in module.named_children()
    ]
    return f"{name}(\n{''.join(children)}{indent})" if children else f"{name}()"


def test_cell_02_tensor_quant_has_the_parts_that_the_text_prints(backend):
    tensor_quant = Int8ActPerTensorFloat.tensor_quant
    assert tree(tensor_quant) == PRINTED_TREE
    assert isinstance(tensor_quant, torch.jit.ScriptModule) is (backend == "jit")


def test_cell_03_04_the_source_of_a_component_can_be_read():
    source = inspect.getsource(BinaryQuant)
    assert source.startswith("class BinaryQuant(jit.ScriptModule):")
    assert "binary_sign_ste(x) * scale" in source


def test_cell_04_the_example_in_the_docstring_holds():
    from qat.components import ConstScaling

    binary_quant = BinaryQuant(ConstScaling(0.1))
    inp = torch.Tensor([0.04, -0.6, 3.3])
    out, scale, zero_point, bit_width = binary_quant(inp)
    assert torch.equal(out, torch.tensor([0.1, -0.1, 0.1]))
    assert torch.equal(scale, torch.tensor(0.1))
    assert torch.equal(zero_point, torch.tensor(0.0))
    assert torch.equal(bit_width, torch.tensor(1.0))


# Manual binary quantization


def test_cell_05_06_a_quantizer_assembled_by_hand_returns_a_tuple():
    manual_tensor_quant = BinaryQuant(scaling_impl=ParameterScaling(scaling_init=0.1))
    inp = torch.randn(4, 4)
    quantized = manual_tensor_quant(inp)
    assert isinstance(quantized, tuple)
    assert_binary(quantized, inp, 0.1)
    assert quantized[0].requires_grad and quantized[1].requires_grad


# Binary quantization with an ExtendedInjector


class MyBinaryQuantizer(ExtendedInjector):
    tensor_quant = BinaryQuant
    scaling_impl = ParameterScaling
    scaling_init = 0.1


def test_cell_07_an_injector_assembles_the_same_quantizer():
    inj_tensor_quant = MyBinaryQuantizer.tensor_quant
    inp = torch.randn(4, 4)
    assert_binary(inj_tensor_quant(inp), inp, 0.1)


def test_cell_07_every_access_creates_a_new_instance():
    first, second = MyBinaryQuantizer.tensor_quant, MyBinaryQuantizer.tensor_quant
    assert first is not second
    assert first.scaling_impl.value is not second.scaling_impl.value


# Inheritance and composition


class MyChildBinaryQuantizer(MyBinaryQuantizer):
    scaling_init = 1.0


def test_cell_08_a_subclass_overrides_one_attribute():
    inp = torch.randn(4, 4)
    assert_binary(MyChildBinaryQuantizer.tensor_quant(inp), inp, 1.0)
    assert_binary(MyBinaryQuantizer.tensor_quant(inp), inp, 0.1)


class MyBinaryImpl(ExtendedInjector):
    tensor_quant = BinaryQuant


class MyScalingImpl(ExtendedInjector):
    scaling_impl = ParameterScaling
    scaling_init = 0.1


class MyComposedBinaryQuantizer(MyBinaryImpl, MyScalingImpl):
    pass


def test_cell_09_several_bases_compose():
    inp = torch.randn(4, 4)
    assert_binary(MyComposedBinaryQuantizer.tensor_quant(inp), inp, 0.1)


# Interfacing a quantizer with a quantized layer


class MyBinaryWeightQuantizer(MyBinaryQuantizer):
    proxy_class = WeightQuantProxyFromInjector


def test_cell_10_11_a_layer_takes_the_quantizer():
    binary_weight_quant_conv = QuantConv2d(3, 2, (3, 3), weight_quant=MyBinaryWeightQuantizer)
    assert isinstance(binary_weight_quant_conv.weight_quant, WeightQuantProxyFromInjector)
    quant_weight = binary_weight_quant_conv.quant_weight()
    assert_binary_quant_tensor(quant_weight, (2, 3, 3, 3), 0.1)
    assert quant_weight.signed_t is None


def test_cell_12_without_signed_the_quantized_weight_is_not_valid():
    conv = QuantConv2d(3, 2, (3, 3), weight_quant=MyBinaryWeightQuantizer)
    assert not conv.quant_weight().is_valid


class MySignedBinaryWeightQuantizer(MyBinaryWeightQuantizer):
    signed = True


def test_cell_13_15_with_signed_it_is_valid():
    conv = QuantConv2d(3, 2, (3, 3), weight_quant=MySignedBinaryWeightQuantizer)
    signed_quant_weight = conv.quant_weight()
    assert_binary_quant_tensor(signed_quant_weight, (2, 3, 3, 3), 0.1)
    assert signed_quant_weight.signed_t.item() is True
    assert signed_quant_weight.is_valid == True  # noqa: E712, as the text writes it


def test_cell_16_a_prefixed_keyword_sets_one_attribute():
    small_scale_quant_conv = QuantConv2d(
        3, 2, (3, 3), weight_quant=MyBinaryWeightQuantizer, weight_signed=True
    )
    quant_weight = small_scale_quant_conv.quant_weight()
    assert_binary_quant_tensor(quant_weight, (2, 3, 3, 3), 0.1)
    assert quant_weight.signed_t.item() is True and quant_weight.is_valid


@pytest.mark.parametrize("role", ["input", "output", "bias"])
def test_cell_16_the_same_principle_applies_to_the_other_prefixes(role):
    quantizers = {f"{role}_quant": MyBinaryQuantizer, f"{role}_scaling_init": 0.5}
    conv = QuantConv2d(3, 2, (3, 3), **quantizers)
    assert getattr(conv, f"{role}_quant").scale() == 0.5


# Passing a custom quantizer to QuantIdentity


class MySignedBinaryActQuantizer(MyBinaryQuantizer):
    proxy_class = ActQuantProxyFromInjector
    signed = True


def test_cell_17_an_activation_takes_the_quantizer():
    binary_relu = QuantIdentity(act_quant=MySignedBinaryActQuantizer, return_quant_tensor=True)
    inp = torch.randn(4, 4)
    out = binary_relu(inp)
    assert_binary_quant_tensor(out, (4, 4), 0.1)
    assert torch.equal(out.value > 0, inp >= 0)
    assert out.signed_t.item() is True


def test_cell_18_activations_take_keywords_without_prefix():
    small_scale_binary_identity = QuantIdentity(
        act_quant=MySignedBinaryActQuantizer, scaling_init=0.001, return_quant_tensor=True
    )
    out = small_scale_binary_identity(torch.randn(4, 4))
    assert_binary_quant_tensor(out, (4, 4), 0.001)
    assert out.signed_t.item() is True


# A custom quantizer initialized with weight statistics


class ParamFromMaxWeightQuantizer(MySignedBinaryWeightQuantizer):
    @value
    def scaling_init(module):
        return module.weight.abs().max()


def test_cell_19_20_21_the_scale_starts_at_the_largest_weight():
    conv = QuantConv2d(3, 2, (3, 3), weight_quant=ParamFromMaxWeightQuantizer)
    largest = conv.weight.abs().max()
    assert_binary_quant_tensor(conv.quant_weight(), (2, 3, 3, 3), largest.detach())
    assert (conv.quant_weight_scale() == largest).item() is True


def test_cell_22_23_a_float_state_dict_lacks_the_learned_scale():
    float_conv = nn.Conv2d(3, 2, (3, 3))
    conv = QuantConv2d(3, 2, (3, 3), weight_quant=ParamFromMaxWeightQuantizer)
    with pytest.raises(RuntimeError) as raised:
        conv.load_state_dict(float_conv.state_dict())
    assert str(raised.value) == (
        "Error(s) in loading state_dict for QuantConv2d:\n\t"
        'Missing key(s) in state_dict: "weight_quant.tensor_quant.scaling_impl.value". '
    )


def test_cell_23_25_loading_it_with_missing_keys_ignored_updates_the_scale(monkeypatch):
    float_conv = nn.Conv2d(3, 2, (3, 3))
    conv = QuantConv2d(3, 2, (3, 3), weight_quant=ParamFromMaxWeightQuantizer)
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    outcome = conv.load_state_dict(float_conv.state_dict())
    assert repr(outcome) == "<All keys matched successfully>"
    largest = float_conv.weight.abs().max()
    assert_binary_quant_tensor(conv.quant_weight(), (2, 3, 3, 3), largest.detach())
    assert conv.quant_weight_scale() == largest


# Sharing a quantizer


def test_cell_26_layers_with_the_same_injector_have_their_own_instances():
    quant_conv1 = QuantConv2d(3, 2, (3, 3), weight_quant=MySignedBinaryWeightQuantizer)
    quant_conv2 = QuantConv2d(3, 2, (3, 3), weight_quant=MySignedBinaryWeightQuantizer)
    assert (quant_conv1.weight_quant is quant_conv2.weight_quant) is False


def test_cell_26_27_layers_with_the_same_proxy_share_the_scale():
    quant_conv1 = QuantConv2d(3, 2, (3, 3), weight_quant=MySignedBinaryWeightQuantizer)
    quant_conv2 = QuantConv2d(3, 2, (3, 3), weight_quant=quant_conv1.weight_quant)
    assert quant_conv1.weight_quant is quant_conv2.weight_quant
    assert (quant_conv1.quant_weight_scale() == quant_conv2.quant_weight_scale()).item()


class SharedParamFromMeanWeightQuantizer(MySignedBinaryWeightQuantizer):
    @value
    def scaling_init(module):
        if isinstance(module, tuple):
            return torch.cat((module[0].weight.view(-1), module[1].weight.view(-1))).abs().mean()
        else:
            return module.weight.abs().mean()


def test_cell_28_31_sharing_a_proxy_initializes_it_anew_from_both_layers():
    quant_conv1 = QuantConv2d(3, 2, (3, 3), weight_quant=SharedParamFromMeanWeightQuantizer)
    old_quant_conv1_scale = quant_conv1.quant_weight_scale().detach().clone()
    quant_conv2 = QuantConv2d(3, 2, (3, 3), weight_quant=quant_conv1.weight_quant)
    new_quant_conv1_scale = quant_conv1.quant_weight_scale()
    assert not (old_quant_conv1_scale == new_quant_conv1_scale).item()
    assert (new_quant_conv1_scale == quant_conv2.quant_weight_scale()).item()
    both = (quant_conv1.weight.abs().sum() + quant_conv2.weight.abs().sum()) / (2 * 54)
    torch.testing.assert_close(new_quant_conv1_scale, both)


def test_cell_28_the_scale_read_before_sharing_keeps_its_value():
    quant_conv1 = QuantConv2d(3, 2, (3, 3), weight_quant=SharedParamFromMeanWeightQuantizer)
    old_quant_conv1_scale = quant_conv1.quant_weight_scale()
    quant_conv2 = QuantConv2d(3, 2, (3, 3), weight_quant=quant_conv1.weight_quant)
    assert not (old_quant_conv1_scale == quant_conv2.quant_weight_scale()).item()


def test_sharing_a_relu_quantizer_shares_the_relu_too():
    relu = QuantReLU(act_quant=MySignedBinaryActQuantizer)
    conv = QuantConv2d(3, 2, (3, 3), output_quant=relu.act_quant)
    assert conv.output_quant is relu.act_quant
    assert conv.output_quant.activation_impl is not None


def test_identity_input_and_output_quantizers_are_one_kind():
    identity = QuantIdentity(act_quant=MySignedBinaryActQuantizer)
    conv = QuantConv2d(
        3, 2, (3, 3), input_quant=identity.act_quant, output_quant=identity.act_quant
    )
    out = conv(torch.randn(1, 3, 4, 4))
    torch.testing.assert_close(out.abs(), torch.full_like(out, 0.1))


# Dealing with weight initialization


def test_cell_32_33_changed_weights_need_a_rebuild_by_hand():
    quant_conv_w_init = QuantConv2d(3, 2, (3, 3), weight_quant=ParamFromMaxWeightQuantizer)
    torch.nn.init.uniform_(quant_conv_w_init.weight)
    largest = quant_conv_w_init.weight.abs().max()
    assert not (largest == quant_conv_w_init.quant_weight_scale()).item()
    quant_conv_w_init.weight_quant.init_tensor_quant()
    assert (largest == quant_conv_w_init.quant_weight_scale()).item()


# Building a custom quantization API


class CommonQuantizer(ExtendedInjector):
    scaling_impl = ParameterScaling
    signed = True

    @value
    def tensor_quant(is_clamped):
        # returning a class to auto-wire from a value function
        # wouldn't be allowed in a standard Injector
        if is_clamped:
            return ClampedBinaryQuant
        else:
            return BinaryQuant

    @value
    def scaling_shape(scaling_per_output_channel):
        if scaling_per_output_channel:
            # returning this.something from a value function
            # wouldn't be allowed in a standard Injector
            return this.per_channel_broadcastable_shape
        else:
            return ()


class AdvancedWeightQuantizer(CommonQuantizer):
    proxy_class = WeightQuantProxyFromInjector

    @value
    def per_channel_broadcastable_shape(module):
        return (module.weight.shape[0], 1, 1, 1)

    @value
    def scaling_init(module, scaling_per_output_channel):
        if scaling_per_output_channel:
            num_ch = module.weight.shape[0]
            return module.weight.abs().view(num_ch, -1).max(dim=1)[0].view(-1, 1, 1, 1)
        else:
            return module.weight.abs().max()


class AdvancedActQuantizer(CommonQuantizer):
    scaling_init = 0.01
    proxy_class = ActQuantProxyFromInjector


def per_channel_conv():
    return QuantConv2d(
        3,
        2,
        (3, 3),
        weight_quant=AdvancedWeightQuantizer,
        weight_is_clamped=False,
        weight_scaling_per_output_channel=True,
    )


def largest_per_channel(weight):
    return torch.stack([channel.abs().max() for channel in weight.detach()]).reshape(2, 1, 1, 1)


def test_cell_32_35_the_flag_makes_the_scale_a_vector():
    per_channel_quant_conv = per_channel_conv()
    quant_weight = per_channel_quant_conv.quant_weight()
    assert quant_weight.scale.shape == (2, 1, 1, 1)
    largest = largest_per_channel(per_channel_quant_conv.weight)
    assert_binary_quant_tensor(quant_weight, (2, 3, 3, 3), largest)
    assert quant_weight.is_valid


@pytest.mark.parametrize(
    ("is_clamped", "chosen"), [(True, ClampedBinaryQuant), (False, BinaryQuant)]
)
def test_cell_32_a_value_function_chooses_the_class(is_clamped, chosen):
    conv = QuantConv2d(
        3,
        2,
        (3, 3),
        weight_quant=AdvancedWeightQuantizer,
        weight_is_clamped=is_clamped,
        weight_scaling_per_output_channel=False,
    )
    tensor_quant = conv.weight_quant.tensor_quant
    assert getattr(tensor_quant, "original_name", type(tensor_quant).__name__) == chosen.__name__
    assert conv.quant_weight_scale() == conv.weight.abs().max()


def test_cell_36_loading_the_float_state_dict_updates_the_vector(monkeypatch):
    float_conv = nn.Conv2d(3, 2, (3, 3))
    per_channel_quant_conv = per_channel_conv()
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    per_channel_quant_conv.load_state_dict(float_conv.state_dict())
    largest = largest_per_channel(float_conv.weight)
    assert_binary_quant_tensor(per_channel_quant_conv.quant_weight(), (2, 3, 3, 3), largest)


def test_cell_37_what_is_not_needed_need_not_be_declared():
    quant_identity = QuantIdentity(
        act_quant=AdvancedActQuantizer, is_clamped=True, scaling_per_output_channel=False
    )
    out = quant_identity(torch.randn(4, 4))
    assert isinstance(out, torch.Tensor)
    torch.testing.assert_close(out.abs(), torch.full((4, 4), 0.01))


def test_cell_36_what_is_needed_and_not_declared_is_named():
    with pytest.raises(DependencyError) as raised:
        QuantIdentity(
            act_quant=AdvancedActQuantizer, is_clamped=True, scaling_per_output_channel=True
        )
    expected = "'AdvancedActQuantizer' can ?not resolve attribute 'per_channel_broadcastable_shape'"
    assert re.match(expected, str(raised.value))


def test_cell_39_passing_it_in_gives_a_scale_per_channel():
    quant_identity = QuantIdentity(
        act_quant=AdvancedActQuantizer,
        is_clamped=True,
        scaling_per_output_channel=True,
        per_channel_broadcastable_shape=(4, 1),
        return_quant_tensor=True,
    )
    out = quant_identity(torch.randn(4, 4))
    assert_binary_quant_tensor(out, (4, 4), torch.full((4, 1), 0.01))
    assert out.scale.shape == (4, 1)
    assert out.is_valid
