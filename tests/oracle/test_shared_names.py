"""Every ready-made quantizer of Brevitas' name, against Brevitas.

Brevitas lies in a folder of its own (``make oracle``, or the folder that QAT_ORACLE names), and is
measured in a process of its own, all names at once; without it these tests are skipped. What we
want otherwise is listed in :mod:`tools.docs.differences`, each with its reason.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from qat import quantizers
from qat.quantizers import ready_made_names
from tools.docs.differences import WANTED

pytestmark = pytest.mark.slow  # both libraries quantize every case of every name
HERE = Path(__file__).parent
#: All but those that declare no quantizer, and those whose format is left to the user.
NAMES = [name for name in ready_made_names() if not name.startswith("None")]
NAMES += [n for n in vars(quantizers) if n.startswith(("FpOCP", "FpFNUZ")) and n[-5:] != "Mixin"]
#: Relative and absolute, in float32: of one element, and of sums, which cancel in part.
EXACT, SUMMED = (1e-5, 1e-6), (1e-3, 1e-4)


def oracle():
    """Folder that holds Brevitas; skips the test where there is none."""
    named = os.environ.get("QAT_ORACLE")
    folder = Path(named) if named else Path(sys.prefix) / "oracle"
    if not (folder / "brevitas").is_dir():
        pytest.skip(f"no Brevitas in {folder}: run make oracle, or name its folder in QAT_ORACLE")
    return folder


def start(library, names, folder, path):
    command = [sys.executable, "-W", "ignore", str(HERE / "measure.py"), library]
    environment = {**os.environ, "PYTHONPATH": str(path)} if path else dict(os.environ)
    return subprocess.Popen(
        [*command, str(names), str(folder / f"{library}.safetensors")],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def read(path):
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        return tensors, json.loads(file.metadata()["errors"])


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """``(tensors, errors)`` of qat and of Brevitas, for all names that both have."""
    path, folder = oracle(), tmp_path_factory.mktemp("oracle")
    names = folder / "names.json"
    names.write_text(json.dumps(NAMES))
    running = [
        start("qat", names, folder, None),
        start("brevitas", names, folder, path),
    ]
    for process in running:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    return [read(folder / f"{library}.safetensors") for library in ("qat", "brevitas")]


def disagreement(key, ours, theirs):
    """In words, how two tensors of one quantity differ; None where they agree."""
    if ours is None or theirs is None:
        return f"only in {'Brevitas' if ours is None else 'qat'}"
    if ours.shape != theirs.shape:
        return f"shape {tuple(ours.shape)} here, {tuple(theirs.shape)} in Brevitas"
    is_sum = "gradient of" in key and not key.endswith("gradient of x")
    rtol, atol = SUMMED if is_sum else EXACT
    differs = ~torch.isclose(ours, theirs, rtol=rtol, atol=atol, equal_nan=True)
    if not bool(differs.any()):
        return None
    at = (ours - theirs).abs().masked_fill(~differs, -1.0).argmax()
    return (
        f"{int(differs.sum())} of {differs.numel()} differ, most {float(ours.flatten()[at]):.7g} "
        f"here, {float(theirs.flatten()[at]):.7g} in Brevitas"
    )


def disagreements(both, name):
    """Quantity -> how it differs, of the cases of one quantizer that both can compute."""
    (ours, our_errors), (theirs, their_errors) = both
    keys = sorted(key for key in {*ours, *theirs} if key.startswith(f"{name}|"))
    failed = {*our_errors, *their_errors}
    keys = [key for key in keys if key.rpartition("|")[0] not in failed]
    found = {key: disagreement(key, ours.get(key), theirs.get(key)) for key in keys}
    return {key: text for key, text in found.items() if text is not None}


@pytest.mark.parametrize("name", NAMES)
def test_value_grid_and_gradient_are_those_of_brevitas(name, both):
    (ours, our_errors), (theirs, their_errors) = both
    if their_errors.get(name) == "no such quantizer":
        pytest.skip("Brevitas has no quantizer of this name")
    assert {key: e for key, e in our_errors.items() if key.startswith(f"{name}|")} == {}
    if not any(key.startswith(f"{name}|") for key in theirs):
        pytest.skip(f"Brevitas fails: {[e for k, e in their_errors.items() if name in k][0]}")
    found = disagreements(both, name)
    unwanted = {key: text for key, text in found.items() if not any(w.covers(key) for w in WANTED)}
    assert not unwanted, "\n".join(f"{key}: {text}" for key, text in unwanted.items())


def test_every_difference_we_want_is_there(both):
    found = [key for name in NAMES for key in disagreements(both, name)]
    stale = [wanted for wanted in WANTED if not any(wanted.covers(key) for key in found)]
    assert not stale


def test_least_squared_error_is_at_most_that_of_brevitas(both):
    (ours, _), (theirs, _) = both
    compared = 0
    for key in ours:
        name, case, quantity = key.split("|")
        if not (name.endswith("MSE") and "Weight" in name and quantity == "value"):
            continue
        if key in theirs:
            x = ours[f"{name}|{case}|x"]
            error, other = ((ours[key] - x) ** 2).sum(), ((theirs[key] - x) ** 2).sum()
            assert float(error) <= float(other) * (1 + 1e-4), (key, float(error), float(other))
            compared += 1
    assert compared
