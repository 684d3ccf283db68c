"""Files on the way from a layer to the kernel of its quantizers."""

import sys
from pathlib import Path

import pytest
import torch

import qat
from qat import config
from qat.nn import QuantConv2d, QuantReLU
from qat.quantizers import Int8ActPerTensorFloat, Int8WeightPerTensorFloat

ROOT = Path(qat.__file__).parent
#: The Python functions that stand for the C++ ones; what they call is the inside of the kernel.
KERNEL = "ops/reference/"
MOST_FILES = 12


def files_entered(call):
    """Files of ``qat`` whose functions ``call`` runs, in the order of their first use."""
    entered, inside = [], []

    def profile(frame, event, _):
        path = Path(frame.f_code.co_filename)
        if event not in ("call", "return") or ROOT not in path.parents:
            return
        name = path.relative_to(ROOT).as_posix()
        if event == "return":
            if inside and inside[-1] is frame:
                inside.pop()
            return
        if inside:
            return
        if name.startswith(KERNEL):
            inside.append(frame)
        if name not in entered:
            entered.append(name)

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
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


def test_at_most_12_files_from_a_convolution_to_the_kernels_of_input_and_weight(eager):
    layer = convolution(input_quant=Int8ActPerTensorFloat, input_collect_stats_steps=1)
    x = torch.randn(2, 2, 5, 5)
    for _ in range(3):
        layer(x)

    entered = files_entered(lambda: layer(x))

    assert len(entered) <= MOST_FILES, "\n".join(entered)


def test_at_most_12_files_from_a_relu_and_its_convolution_to_the_kernel(eager):
    act, layer = QuantReLU(collect_stats_steps=1, return_quant_tensor=True), convolution()
    x = torch.randn(2, 2, 5, 5)
    for _ in range(3):
        layer(act(x))

    for_act, given = files_entered(lambda: act(x)), act(x)
    for_layer = files_entered(lambda: layer(given))

    assert len(for_act) <= MOST_FILES, "\n".join(for_act)
    assert len(for_layer) <= MOST_FILES, "\n".join(for_layer)
