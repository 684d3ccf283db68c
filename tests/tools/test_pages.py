"""Generated pages are current; code on the pages runs."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

from qat.components.stats import STATS
from qat.nn import QuantLinear, QuantReLU
from tools.docs.generate import FILES, is_current

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", FILES)
def test_generated_file_is_current(name):
    assert is_current(name, FILES[name]()), f"{name} is not what the code says now: run make docs"


def run_blocks(page, folder):
    """The Python of ``page``, imported as one module from a file, as TorchScript needs it."""
    code = "\n".join(
        re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    )
    path = folder / f"{page.stem}_blocks.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tables():
    """Rows that a page adds to a table of the library are gone afterwards."""
    before = dict(STATS)
    yield
    STATS.clear()
    STATS.update(before)


def test_code_of_extending_runs(tmp_path, backend, tables):
    module = run_blocks(DOCS / "extending.md", tmp_path)
    assert module.QuantLinear is QuantLinear


@pytest.mark.parametrize("scaling, key", [("parameter_from_stats", "value"), ("stats", "buffer")])
def test_a_state_dict_of_brevitas_is_loaded_as_porting_says(tmp_path, scaling, key):
    module = run_blocks(DOCS / "porting.md", tmp_path)
    relu = QuantReLU(scaling_impl_type=scaling)
    prefix = "act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl."
    theirs = {"value": "value", "buffer": "runtime_stats.running_stats"}[key]

    module.load_from_brevitas(relu, {prefix + theirs: torch.tensor(51.0)})
    if key == "value":  # which no batch observes any more
        relu.train()(torch.randn(4, 4))

    assert relu.quant_act_scale().item() == pytest.approx(51.0 / 255)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    text = page.read_text()
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (DOCS / target).exists(), target
