"""The door to TorchScript: compiled, eager, and said."""

import copy
import warnings

import pytest
import torch
from torch import nn

from qat import config, jit, torchscript
from qat.components import BinaryQuant, ConstScaling, DelayWrapper, ParameterScaling
from qat.quantizers import Int8ActPerTensorFloat, Int8WeightPerTensorFloat

needs_torchscript = pytest.mark.skipif(
    not jit.is_available(), reason="this torch has no TorchScript, or PYTORCH_JIT=0 turns it off"
)


class Doubled(jit.ScriptModule):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


class Unscriptable(jit.ScriptModule):
    def forward(self, x):
        return {**{"x": x}}["x"] if (lambda: True)() else x


class EagerPart(nn.Module):
    scriptable = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class WithEagerPart(jit.ScriptModule):
    def __init__(self) -> None:
        super().__init__()
        self.part = EagerPart()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.part(x)


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(jit, "_said", set())


@pytest.fixture
def jit_on(monkeypatch, toolchain):
    monkeypatch.setattr(config, "JIT_ENABLED", True)


@pytest.fixture
def jit_off(monkeypatch):
    monkeypatch.setattr(config, "JIT_ENABLED", False)


def test_script_module_is_an_ordinary_module_with_the_flag_off(jit_off):
    module = Doubled()
    assert isinstance(module, Doubled)
    assert not jit.is_scripted(module)


@needs_torchscript
def test_script_module_is_compiled_with_the_flag_on(jit_on):
    module = Doubled()
    assert isinstance(module, torch.jit.ScriptModule)
    assert jit.is_scripted(module)
    assert module(torch.ones(2)).tolist() == [2.0, 2.0]


@needs_torchscript
def test_flag_holds_for_quantizers_built_afterwards(monkeypatch, toolchain):
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    before = Int8ActPerTensorFloat.tensor_quant
    monkeypatch.setattr(config, "JIT_ENABLED", True)
    after = Int8ActPerTensorFloat.tensor_quant
    assert not jit.is_scripted(before)
    assert jit.is_scripted(after)


@needs_torchscript
def test_scripting_what_is_scripted_returns_it(jit_on):
    module = Doubled()
    assert jit.script(module) is module


@needs_torchscript
def test_module_with_a_part_that_refuses_stays_eager_without_a_word(jit_on):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = WithEagerPart()
    assert not jit.is_scripted(module)


@needs_torchscript
def test_module_that_does_not_compile_runs_eagerly_and_says_so_once(jit_on):
    with pytest.warns(RuntimeWarning, match="Unscriptable cannot be compiled and runs eagerly"):
        module = Unscriptable()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Unscriptable()
    assert module(torch.ones(1)).item() == 1.0


def test_without_torchscript_the_flag_warns_once_and_runs_eagerly(monkeypatch, toolchain):
    monkeypatch.setattr(torchscript, "torch_jit", None)
    monkeypatch.setattr(config, "JIT_ENABLED", True)
    with pytest.warns(RuntimeWarning, match="has no TorchScript: QAT_JIT runs eagerly"):
        module = Doubled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Doubled()
    assert not jit.is_scripted(module)
    assert module(torch.ones(1)).item() == 2.0


@needs_torchscript
def test_torchs_own_switch_wins_over_the_flag(monkeypatch, jit_on):
    monkeypatch.setattr(torch.jit._state._enabled, "enabled", False)
    assert not jit.is_available()
    assert isinstance(Doubled(), Doubled)


@needs_torchscript
def test_scripted_quantizer_keeps_constants_out_of_its_state_dict(jit_on):
    assert list(BinaryQuant(ConstScaling(0.1)).state_dict()) == []
    assert list(BinaryQuant(ParameterScaling(0.1)).state_dict()) == ["scaling_impl.value"]


@needs_torchscript
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_scripted_quantizer_follows_a_change_of_dtype(jit_on, dtype):
    quant = BinaryQuant(ConstScaling(0.5)).to(dtype)
    y, scale, zero_point, bit_width = quant(torch.tensor([-1.0, 2.0], dtype=dtype))
    assert {item.dtype for item in (y, scale, zero_point, bit_width)} == {dtype}


@needs_torchscript
def test_scripted_quantizer_survives_deepcopy(jit_on):
    quant = BinaryQuant(ParameterScaling(0.5))
    copied = copy.deepcopy(quant)
    with torch.no_grad():
        quant.scaling_impl.value.fill_(9.0)
    assert copied(torch.ones(1))[0].item() == 0.5


@needs_torchscript
def test_bytes_bring_back_a_scripted_module_with_its_state(jit_on):
    quant = Int8ActPerTensorFloat.let(collect_stats_steps=2, quant_delay_steps=1).tensor_quant
    x = torch.linspace(-1, 1, 5)
    quant(x)
    back = jit.from_bytes(*jit.to_bytes(quant))
    assert list(back.state_dict()) == list(quant.state_dict())
    quant.eval(), back.eval()
    assert torch.equal(back(x)[0], quant(x)[0])


@needs_torchscript
def test_scripted_quantizer_follows_the_training_mode(jit_on):
    quant = Int8ActPerTensorFloat.let(scaling_impl_type="stats").tensor_quant
    quant(torch.full((4,), 2.0))
    quant.eval()
    quant(torch.full((4,), 8.0))  # not seen in evaluation
    assert quant.scaling_impl.buffer.item() == 2.0


@needs_torchscript
def test_delay_counts_in_a_scripted_module(jit_on):
    delay = jit.script(DelayWrapper(1))
    x, y = torch.zeros(1), torch.ones(1)
    assert [delay(x, y).item() for _ in range(3)] == [0.0, 1.0, 1.0]


def test_script_method_keeps_a_method_callable_in_python(jit_off):
    quant = Int8WeightPerTensorFloat.let(module=nn.Linear(2, 2)).tensor_quant
    assert quant.int_quant.max_int(torch.tensor(8.0)).item() == 127.0
