"""Registration of the ``qat::`` ops with torch, as TorchScript needs them.

The native library brings its own (``csrc/registration.cpp``); every op of :data:`qat.ops.table.OPS`
that it does not bring is registered with its Python implementation.
"""

import torch

from qat import torchscript
from qat.ops.native.backend import is_available
from qat.ops.table import OPS

# A registration lasts as long as its Library object.
_libraries: list[torch.library.Library] = []


def ensure_registered() -> None:
    """Make every ``torch.ops.qat`` op exist, native where possible, and known to TorchScript.

    Call it before scripting code that calls ops. Cheap after the first call.
    """
    if _libraries:
        return
    library = torch.library.Library("qat", "FRAGMENT")
    brought = is_available()
    for row in OPS.values():
        if not (brought and row.native):
            library.impl(library.define(row.schema), row.reference, "CompositeImplicitAutograd")
        torchscript.compile_as_op(row.call, f"qat::{row.name}")
    _libraries.append(library)
