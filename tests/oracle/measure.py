"""The process that measures one library's quantizers: ``measure.py qat|brevitas NAMES OUT``.

NAMES is a JSON file with a list, OUT the safetensors file to write. One process holds one library:
they need different releases of the package ``dependencies``.
"""

import importlib
import json
import sys
from typing import Any

import torch
from cases import measure
from safetensors.torch import save_file

LIBRARIES = {
    "qat": ("qat.nn", "qat.quantizers"),
    "brevitas": ("brevitas.nn", "brevitas.quant"),
}


def measured(library: str, names: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Tensors by ``name|case|quantity``, and errors by ``name|case``; by ``name`` if it lacks."""
    layers, quantizers = (importlib.import_module(module) for module in LIBRARIES[library])
    tensors: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name in names:
        if not hasattr(quantizers, name):
            errors[name] = "no such quantizer"
            continue
        torch.manual_seed(0)
        made, failed = measure(name, getattr(quantizers, name), layers)
        errors.update((f"{name}|{case}", text) for case, text in failed.items())
        for case, found in made.items():
            tensors.update((f"{name}|{case}|{key}", t.contiguous()) for key, t in found.items())
    return tensors, errors


def main() -> None:
    library, names_file, out = sys.argv[1:]
    torch.set_num_threads(1)
    with open(names_file) as file:
        names = json.load(file)
    tensors, errors = measured(library, names)
    save_file(tensors, out, metadata={"errors": json.dumps(errors)})


if __name__ == "__main__":
    main()
