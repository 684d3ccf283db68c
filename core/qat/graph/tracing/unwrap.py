"""Models without the wrappers that people put around them.

``nn.DataParallel``, ``DistributedDataParallel``, modules under ``torch.compile`` and those that
recompute activations are looked through, around the model and inside of it: what is converted is
the module in the wrapper, under the names that it has without.
"""

import sys
from dataclasses import dataclass

from torch import nn

from qat import torchscript
from qat.graph.tracing.copying import copy_sharing_tensors

#: Module and name of a wrapper's class, and the attribute that holds what it wraps. Looked up among
#: what is imported: a model has no wrapper of a class that nobody imported.
_WRAPPERS = (
    ("torch.nn.parallel.data_parallel", "DataParallel", "module"),
    ("torch.nn.parallel.distributed", "DistributedDataParallel", "module"),
    ("torch._dynamo.eval_frame", "OptimizedModule", "_orig_mod"),
    (
        "torch.distributed.algorithms._checkpoint.checkpoint_wrapper",
        "ActivationWrapper",
        "_checkpoint_wrapped_module",
    ),
)
#: Those that cut parameters into pieces, so that no layer holds its weight any more.
_SHARDED = (
    ("torch.distributed.fsdp", "FullyShardedDataParallel"),
    ("torch.distributed.fsdp", "FSDPModule"),
)


@dataclass(frozen=True)
class Unwrapped:
    """A model without wrappers.

    Args:
        model: the module inside; where wrappers lay deeper, a copy that shares its tensors.
        notes: what was looked through.
    """

    model: nn.Module
    notes: list[str]


def unwrap(model: nn.Module) -> Unwrapped:
    """``model`` without wrappers, around it and inside of it; not changed itself.

    Raises:
        ValueError: it is compiled by TorchScript or sharded, so that its layers cannot be seen; or
            a wrapper has hooks of its own, which would be lost.
    """
    notes = []
    while (inside := _inside(model)) is not None:
        notes.append(_note(model, "", inside[1]))
        model = inside[0]
    _check(model)
    deeper = [(name, part) for name, part in model.named_modules() if _is_wrapped(part)]
    for name, part in deeper:
        found = _inside(part)
        notes.append(_note(part, name, found[1] if found is not None else ""))
    notes += [
        f"{name!r} is compiled by TorchScript: it stays in float"
        for name in _outermost_scripted(model)
    ]
    if deeper:
        model = copy_sharing_tensors(model, _inside)
    return Unwrapped(model, notes)


def _inside(module: nn.Module) -> tuple[nn.Module, str] | None:
    for file, name, attribute in _WRAPPERS:
        kind = getattr(sys.modules.get(file), name, None)
        if kind is not None and isinstance(module, kind):
            if any(vars(module)[held] for held in ("_forward_hooks", "_forward_pre_hooks")):
                raise ValueError(
                    f"the {name} around {type(getattr(module, attribute)).__name__} has forward "
                    f"hooks, which converting the module inside would drop; register them on its "
                    f".{attribute}."
                )
            return getattr(module, attribute), attribute
    return None


def _is_wrapped(module: nn.Module) -> bool:
    return vars(module).get("_compiled_call_impl") is not None or _inside(module) is not None


def _outermost_scripted(model: nn.Module) -> list[str]:
    names: list[str] = []
    for name, part in model.named_modules():
        if torchscript.is_scripted(part) and not name.startswith(tuple(f"{n}." for n in names)):
            names.append(name)
    return names


def _check(model: nn.Module) -> None:
    if torchscript.is_scripted(model):
        raise ValueError(
            "the model is compiled by TorchScript, in which layers cannot be replaced; give the "
            "Python module that it was scripted or traced from."
        )
    for file, name in _SHARDED:
        kind = getattr(sys.modules.get(file), name, None)
        for path, part in model.named_modules():
            if kind is not None and isinstance(part, kind):
                raise ValueError(
                    f"{path or 'the model'} is sharded by FSDP, so that no layer holds its whole "
                    "weight; quantize the model first and shard what comes out."
                )


def _note(wrapper: nn.Module, path: str, attribute: str) -> str:
    where = f"{path!r}: " if path else ""
    if not attribute:
        return f"{where}module.compile() is not kept; compile the converted model"
    kind = type(wrapper).__name__
    after = {"OptimizedModule": "; compile the converted model"}.get(kind, "")
    return f"{where}{kind} is looked through: names are those without {attribute!r}{after}"
