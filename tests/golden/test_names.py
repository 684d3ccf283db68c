"""Public names and quantizers' attributes against those of an earlier version."""

import importlib
import inspect
import json
from pathlib import Path

import pytest
import torch

from qat import quantizers

HERE = Path(__file__).parent
#: On no page, and no part of a quantizer: it writes English for one, and is a tool (tools/docs).
MOVED_OUT = {"qat.quantizers.catalog"}
NAMES = [
    name
    for names in json.loads((HERE / "public_names.json").read_text()).values()
    for name in names
    if name not in MOVED_OUT
]
QUANTIZERS = json.loads((HERE / "quantizers.json").read_text())
PLAIN = (bool, int, float, str, type(None))


def found(full_name):
    """What ``qat.module.name`` or ``qat.module.Enum.MEMBER`` is; fails where there is none."""
    parts = full_name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            item = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            item = getattr(item, part)
        return item


def test_every_public_name_is_where_it_was():
    missing = []
    for name in NAMES:
        try:
            found(name)
        except AttributeError:
            missing.append(name)
    assert missing == []


def test_every_public_class_and_function_says_what_it_is():
    items = ((name, found(name)) for name in NAMES)
    documented = [(n, x) for n, x in items if inspect.isclass(x) or inspect.isfunction(x)]
    assert [name for name, item in documented if not inspect.getdoc(item)] == []


def shown(item):
    """A word or number as it is, tuples of them as lists, else the name of the class or type."""
    if isinstance(item, PLAIN):
        return str(item) if isinstance(item, str) else item  # an enum is its word
    if isinstance(item, (tuple, list)) and all(isinstance(x, PLAIN) for x in item):
        return list(item)
    return item.__name__ if isinstance(item, type) else type(item).__name__


@pytest.mark.parametrize("name", [name for name in QUANTIZERS if "given" in QUANTIZERS[name]])
def test_every_quantizer_declares_what_it_declared(name):
    entry = QUANTIZERS[name]
    usual = QUANTIZERS[entry["usual"]]["usual"]
    expected = {**usual, **entry["differs"]}
    layer = torch.nn.Linear(33, 4)
    bound = getattr(quantizers, name).let(module=layer, **entry["given"])
    declares = {key: shown(getattr(bound, key)) for key in expected if key not in entry["lacks"]}
    assert declares == {key: x for key, x in expected.items() if key not in entry["lacks"]}
