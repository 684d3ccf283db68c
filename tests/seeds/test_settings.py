"""The text "Settings", sentence by sentence, in variables and at run time.

One program runs once per environment, each in a process of its own; all are started together.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import qat
from qat import config, jit, ops
from qat.nn import QuantLinear, QuantReLU
from qat.ops.native import build as native_build

PROGRAM = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import torch
    from torch import nn
    from qat import config, jit, ops
    from qat.nn import QuantLinear, QuantReLU

    linear, relu = QuantLinear(2, 2, weight_scaling_impl_type="parameter_from_stats"), QuantReLU()
    outputs = relu(torch.tensor([-1.0, 0.5, 1.0])).tolist()
    model, floats = nn.Sequential(linear, relu), nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    nn.init.constant_(floats[0].weight, 2.0)
    try:
        model.load_state_dict(floats.state_dict())
        error = None
    except RuntimeError as raised:
        error = str(raised)
print(json.dumps({
    "flags": {name: getattr(config, name) for name in config.flag_sources()},
    "scripted": jit.is_scripted(relu.act_quant.tensor_quant),
    "backend": ops.active_backend(),
    "outputs": outputs,
    "error": error,
    "threshold": round(float(linear.quant_weight_scale()) * 127, 4),
    "warnings": [str(warning.message) for warning in caught],
}))
"""
#: Imports torch once, then runs the program in a copy of itself per environment: flags are read
#: when ``qat`` is imported.
ONE_AFTER_THE_OTHER = """
import json, os, sys, traceback
import torch
for name, variables in json.loads(sys.argv[1]).items():
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.environ.update(variables)
            for stream, ending in ((1, "out"), (2, "err")):
                os.dup2(os.open(f"{name}.{ending}", os.O_CREAT | os.O_WRONLY), stream)
            exec(sys.argv[2], {})
            status = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(f"{name}: " + open(f"{name}.err").read())
"""
STUB_COMPILER = """#!/bin/sh
case "$*" in *--version*|*-v*|*-dumpversion*|*-dumpfullversion*) echo "stub 13.0.0"; exit 0;; esac
echo "ste.cpp:1: error: this is the stub compiler speaking"
exit 1
"""
DEFAULTS = {
    "JIT_ENABLED": False,
    "IGNORE_MISSING_KEYS": False,
    "VERBOSE": False,
    "NATIVE_STE_BACKEND_ENABLED": False,
    "REINIT_ON_STATE_DICT_LOAD": True,
}
SPEECH = "this is the stub compiler speaking"


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """Variables of an empty cache and a compiler that refuses to compile, saying so."""
    folder = tmp_path_factory.mktemp("stub")
    compiler = folder / "g++"
    compiler.write_text(STUB_COMPILER)
    compiler.chmod(0o755)
    return {"CXX": str(compiler), "QAT_CACHE_DIR": str(folder / "cache")}


def in_each(environments, folder, **variables):
    """Run the program in each environment; what it prints goes to files in ``folder``."""
    clean = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("QAT_", "BREVITAS_", "PYTORCH_JIT")) or name == "QAT_CACHE_DIR"
    }
    clean["PYTHONPATH"] = str(Path(qat.__file__).resolve().parents[1])
    clean["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(environments), PROGRAM],
        env={**clean, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def answers(stub, tmp_path_factory):
    """What the program printed in each environment, and its standard error as ``"stderr"``."""
    environments = {
        "jit": {"QAT_JIT": "1"},
        "jit_without_any_help": {"QAT_JIT": "1", "PYTORCH_JIT": "0", "CXX": "/nowhere/g++"},
        "ignore_missing_keys": {"QAT_IGNORE_MISSING_KEYS": "1"},
        "verbose": {"QAT_JIT": "1", "QAT_VERBOSE": "1", **stub},
        "native": {"QAT_NATIVE_STE_BACKEND": "1"},
        "no_reinit": {"QAT_REINIT_ON_STATE_DICT_LOAD": "0"},
    }
    folder = tmp_path_factory.mktemp("answers")
    # torch reads this one itself, at its import
    without = {name: given for name, given in environments.items() if "PYTORCH_JIT" in given}
    in_each(without, folder, PYTORCH_JIT="0")
    in_each({name: environments[name] for name in environments if name not in without}, folder)
    found = {}
    for name in environments:
        printed = (folder / f"{name}.out").read_text()
        found[name] = json.loads(printed.splitlines()[-1])
        found[name]["stderr"] = (folder / f"{name}.err").read_text()
    return found


@pytest.fixture(autouse=True)
def default_flags(monkeypatch):
    for name, default in DEFAULTS.items():
        monkeypatch.setattr(config, name, default)


def model_and_float_weights():
    linear = QuantLinear(2, 2, weight_scaling_impl_type="parameter_from_stats")
    floats = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    nn.init.constant_(floats[0].weight, 2.0)
    return nn.Sequential(linear, QuantReLU()), floats.state_dict()


@pytest.mark.parametrize(
    ("environment", "changed"),
    [
        ("jit", {"JIT_ENABLED": True, "NATIVE_STE_BACKEND_ENABLED": True}),
        ("ignore_missing_keys", {"IGNORE_MISSING_KEYS": True}),
        ("native", {"NATIVE_STE_BACKEND_ENABLED": True}),
        ("no_reinit", {"REINIT_ON_STATE_DICT_LOAD": False}),
    ],
)
def test_a_variable_sets_its_flag_and_the_others_have_their_defaults(
    environment, changed, answers, toolchain
):
    assert answers[environment]["flags"] == {**DEFAULTS, **changed}
    assert answers[environment]["warnings"] == []


# JIT_ENABLED


def test_jit_variable_compiles_quantizers_and_uses_cpp_gradient_estimators(answers, toolchain):
    assert answers["jit"]["scripted"] is True
    assert answers["jit"]["backend"] == "native"
    assert answers["no_reinit"]["scripted"] is False
    assert answers["no_reinit"]["backend"] == "python"


def test_every_backend_computes_the_same_outputs(answers):
    outputs = [answer["outputs"] for answer in answers.values()]
    assert all(output == outputs[0] for output in outputs)


def test_without_a_compiler_one_warning_and_the_python_fallback(answers):
    answer = answers["jit_without_any_help"]
    assert answer["flags"]["VERBOSE"] is False
    assert len(answer["warnings"]) == 1
    assert "using the Python implementation" in answer["warnings"][0]
    assert answer["backend"] == "python"


def test_torchscript_does_not_need_the_compiler(answers):
    answer = answers["verbose"]  # where compiling fails
    assert answer["backend"] == "python"
    assert answer["scripted"] is True


def test_torchscript_needs_pytorch_jit(answers):
    answer = answers["jit_without_any_help"]
    assert answer["flags"]["JIT_ENABLED"] is True
    assert answer["scripted"] is False


def test_jit_set_at_run_time_holds_for_quantizers_built_afterwards(toolchain, monkeypatch):
    before = QuantReLU()
    monkeypatch.setattr(config, "JIT_ENABLED", True)
    after = QuantReLU()
    assert not jit.is_scripted(before.act_quant.tensor_quant)
    assert isinstance(after.act_quant.tensor_quant, torch.jit.ScriptModule)
    assert ops.active_backend() == "native"


# IGNORE_MISSING_KEYS


def test_a_float_state_dict_lacks_what_quantized_activations_learn_by_default(answers):
    error = answers["native"]["error"]
    assert "Missing key(s) in state_dict" in error
    assert "1.act_quant.tensor_quant.scaling_impl.value" in error
    assert "0.weight_quant.tensor_quant.scaling_impl.value" in error


def test_ignore_missing_keys_variable_forgives_them(answers):
    assert answers["ignore_missing_keys"]["error"] is None
    assert answers["ignore_missing_keys"]["threshold"] == 2.0


def test_ignore_missing_keys_set_at_run_time_forgives_them(monkeypatch):
    model, floats = model_and_float_weights()
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    assert not model.load_state_dict(floats).missing_keys


def without_weight(floats):
    del floats["0.weight"]


def with_a_foreign_key(floats):
    floats["0.extra"] = torch.zeros(1)


def with_another_shape(floats):
    floats["0.weight"] = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (without_weight, 'Missing key.* "0.weight"'),
        (with_a_foreign_key, 'Unexpected key.* "0.extra"'),
        (with_another_shape, "size mismatch for 0.weight"),
    ],
)
def test_ignore_missing_keys_forgives_no_other_mismatch(change, complaint, monkeypatch):
    model, floats = model_and_float_weights()
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    change(floats)
    with pytest.raises(RuntimeError, match=complaint) as raised:
        model.load_state_dict(floats)
    assert "tensor_quant" not in str(raised.value)


# VERBOSE


def test_verbose_variable_shows_the_compilation(answers):
    assert answers["verbose"]["flags"]["VERBOSE"] is True
    assert SPEECH in answers["verbose"]["stderr"]


def test_verbose_reset_at_run_time_hides_the_compilation(stub, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("CXX", stub["CXX"])
    monkeypatch.setenv("QAT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(config, "VERBOSE", True)
    monkeypatch.setattr(config, "VERBOSE", False)
    with pytest.raises(native_build.NativeBuildError, match="this is the stub compiler speaking"):
        native_build.build()
    assert capfd.readouterr() == ("", "")


# NATIVE_STE_BACKEND_ENABLED


def test_native_variable_uses_cpp_without_the_jit(answers, toolchain):
    assert answers["native"]["backend"] == "native"
    assert answers["native"]["scripted"] is False


def test_native_set_at_run_time_uses_cpp_without_the_jit(toolchain, monkeypatch):
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", True)
    assert ops.active_backend() == "native"
    assert not jit.is_scripted(QuantReLU().act_quant.tensor_quant)


def test_jit_forces_the_native_backend(answers, monkeypatch):
    assert answers["jit"]["flags"]["NATIVE_STE_BACKEND_ENABLED"] is True
    monkeypatch.setattr(config, "JIT_ENABLED", True)
    assert config.NATIVE_STE_BACKEND_ENABLED is True


# REINIT_ON_STATE_DICT_LOAD


def test_loading_computes_the_learned_scale_anew_from_the_weights(answers):
    assert answers["native"]["threshold"] == 2.0


def test_no_reinit_variable_keeps_the_scale_that_was_there(answers):
    assert answers["no_reinit"]["threshold"] < 1.0


@pytest.mark.parametrize("reinit", [True, False])
def test_reinit_set_at_run_time_decides(reinit, monkeypatch):
    model, floats = model_and_float_weights()
    before = model[0].quant_weight_scale().item()
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    monkeypatch.setattr(config, "REINIT_ON_STATE_DICT_LOAD", reinit)
    model.load_state_dict(floats)
    expected = 2.0 / 127 if reinit else before
    assert model[0].quant_weight_scale().item() == pytest.approx(expected)


def test_only_the_layer_whose_state_dict_is_loaded_is_rebuilt():
    model = nn.Sequential(QuantLinear(2, 2), QuantLinear(2, 2))
    first, second = (layer.weight_quant.tensor_quant for layer in model)
    model[0].load_state_dict(model[0].state_dict())
    assert model[0].weight_quant.tensor_quant is not first
    assert model[1].weight_quant.tensor_quant is second
