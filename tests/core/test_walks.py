"""Files from a layer to the kernel of its quantizer."""

import sys
from pathlib import Path

import pytest
import torch

import qat
from qat import config
from qat.nn import QuantConv2d, QuantReLU
from qat.quantizers import Int8ActPerTensorFloat, Int8WeightPerTensorFloat

ROOT = Path(qat.__file__).parent
#: Layer, proxy, quantizer, op, kernel, and what each of them asks on the way.
TO_THE_KERNEL = 12
#: Of a convolution with two quantizers; it was 21 once.
WHOLE_FORWARD = 16


def is_kernel(frame):
    """Whether a C++ op of ours is called, or the Python function that stands for one."""
    path = Path(frame.f_code.co_filename)
    if path.name == "_ops.py" and frame.f_code.co_name == "__call__":
        return str(frame.f_locals.get("self")).startswith("qat.")
    return ROOT / "ops" / "reference" in path.parents


def files_entered(call, to_the_first_kernel=True):
    """Files of ``qat`` that ``call`` enters outside of kernels, in the order of their first use."""
    entered, kernels, inside = [], [], []

    def profile(frame, event, _):
        if event == "return" and inside and inside[-1] is frame:
            inside.pop()
        if event != "call" or inside or (kernels and to_the_first_kernel):
            return
        if is_kernel(frame):
            kernels.append(frame.f_code.co_name)
            inside.append(frame)
            return
        path = Path(frame.f_code.co_filename)
        if ROOT in path.parents and (name := path.relative_to(ROOT).as_posix()) not in entered:
            entered.append(name)

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    assert kernels, f"no kernel was reached through {entered}"
    return entered


@pytest.fixture(params=["python", "native"])
def eager(request, monkeypatch):
    """Eager quantizers on either backend."""
    if request.param == "native":
        request.getfixturevalue("toolchain")
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", request.param == "native")


def convolution(**options):
    """A convolution in training, its weight in 4 bits with a learned scale."""
    return QuantConv2d(
        2,
        3,
        3,
        weight_quant=Int8WeightPerTensorFloat,
        weight_bit_width=4,
        weight_scaling_impl_type="parameter_from_stats",
        **options,
    )


def after_statistics(layer, x):
    for _ in range(3):
        layer(x)
    return layer


def assert_short(entered, most=TO_THE_KERNEL):
    assert len(entered) <= most, "\n".join(entered)


def test_at_most_12_files_from_a_convolution_to_the_kernel_of_its_input(eager):
    x = torch.randn(2, 2, 5, 5)
    layer = convolution(input_quant=Int8ActPerTensorFloat, input_collect_stats_steps=1)
    after_statistics(layer, x)
    assert_short(files_entered(lambda: layer(x)))


def test_at_most_12_files_from_a_convolution_to_the_kernel_of_its_weight(eager):
    x = QuantReLU(return_quant_tensor=True)(torch.randn(2, 2, 5, 5))
    layer = after_statistics(convolution(), x)
    assert_short(files_entered(lambda: layer(x)))


def test_at_most_12_files_from_a_relu_to_the_kernel(eager):
    x = torch.randn(2, 2, 5, 5)
    act = after_statistics(QuantReLU(collect_stats_steps=1, return_quant_tensor=True), x)
    assert_short(files_entered(lambda: act(x)))


def test_at_most_16_files_in_a_whole_forward_of_a_convolution(eager):
    x = torch.randn(2, 2, 5, 5)
    layer = convolution(input_quant=Int8ActPerTensorFloat, input_collect_stats_steps=1)
    after_statistics(layer, x)
    assert_short(files_entered(lambda: layer(x), to_the_first_kernel=False), WHOLE_FORWARD)
