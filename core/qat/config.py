"""Five global switches, from the environment and settable at run time.

``JIT_ENABLED`` (``QAT_JIT``, default 0)
    Quantizers built from now on are TorchScript, and STE ops are C++.
``IGNORE_MISSING_KEYS`` (``QAT_IGNORE_MISSING_KEYS``, default 0)
    A state dict may lack quantizer parameters; any other mismatch stays an error.
``VERBOSE`` (``QAT_VERBOSE``, default 0)
    The C++ build shows its output, on standard error.
``NATIVE_STE_BACKEND_ENABLED`` (``QAT_NATIVE_STE_BACKEND``, default 0)
    STE ops are C++, without the JIT.
``REINIT_ON_STATE_DICT_LOAD`` (``QAT_REINIT_ON_STATE_DICT_LOAD``, default 1)
    Loading weights rebuilds the quantizers made from them.

A variable holds 1/0, true/false, yes/no or on/off in any case; an empty one counts as unset, and
any other text is a ``ValueError`` at import. Where ``QAT_X`` is unset, ``BREVITAS_X`` is read.

Flags are real bools, read as ``config.NAME`` and set as ``config.NAME = True``; anything but a
bool is a ``TypeError``. ``JIT_ENABLED`` forces ``NATIVE_STE_BACKEND_ENABLED``: while the first is
true the second reads true, and when the first is reset the second reads what it was set to by
itself.

The values are kept as ordinary module attributes (recomputed on every assignment) rather than
computed on reading, so that ``torch.compile`` can read and guard them inside a traced function.
"""

import os
import sys
from dataclasses import dataclass
from types import ModuleType

JIT_ENABLED: bool
IGNORE_MISSING_KEYS: bool
VERBOSE: bool
NATIVE_STE_BACKEND_ENABLED: bool
REINIT_ON_STATE_DICT_LOAD: bool

_WORDS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


@dataclass(frozen=True)
class FlagSource:
    """Value of one flag and where it comes from.

    ``origin`` is ``"default"``, ``"environment QAT_JIT=1"`` (variable and text as found),
    ``"set at run time"`` or ``"forced by JIT_ENABLED"``.
    """

    name: str
    value: bool
    variable: str
    origin: str


_DEFAULTS = (
    FlagSource("JIT_ENABLED", False, "QAT_JIT", "default"),
    FlagSource("IGNORE_MISSING_KEYS", False, "QAT_IGNORE_MISSING_KEYS", "default"),
    FlagSource("VERBOSE", False, "QAT_VERBOSE", "default"),
    FlagSource("NATIVE_STE_BACKEND_ENABLED", False, "QAT_NATIVE_STE_BACKEND", "default"),
    FlagSource("REINIT_ON_STATE_DICT_LOAD", True, "QAT_REINIT_ON_STATE_DICT_LOAD", "default"),
)


def _from_environment(default: FlagSource) -> FlagSource:
    fallback = default.variable.replace("QAT_", "BREVITAS_", 1)
    for variable in (default.variable, fallback):
        text = os.environ.get(variable, "").strip()
        if not text:
            continue
        if text.lower() not in _WORDS:
            raise ValueError(
                f"environment variable {variable}={text!r} is not a boolean; "
                f"set it to one of {', '.join(_WORDS)} (any case), or unset it."
            )
        value = _WORDS[text.lower()]
        return FlagSource(default.name, value, default.variable, f"environment {variable}={text}")
    return default


# What each flag was set to by itself, before JIT_ENABLED forces anything.
_own = {default.name: _from_environment(default) for default in _DEFAULTS}


def flag_sources() -> dict[str, FlagSource]:
    """Return value and origin of every flag as it reads now, in the order listed above."""
    sources = dict(_own)
    if sources["JIT_ENABLED"].value:
        native = sources["NATIVE_STE_BACKEND_ENABLED"]
        sources[native.name] = FlagSource(
            native.name, True, native.variable, "forced by JIT_ENABLED"
        )
    return sources


class _ConfigModule(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        if name not in _own:
            super().__setattr__(name, value)
            return
        if not isinstance(value, bool):
            raise TypeError(
                f"qat.config.{name} must be True or False, got {value!r} "
                f"of type {type(value).__name__}."
            )
        _own[name] = FlagSource(name, value, _own[name].variable, "set at run time")
        self.__dict__.update(_effective_values())


def _effective_values() -> dict[str, bool]:
    return {name: source.value for name, source in flag_sources().items()}


globals().update(_effective_values())
sys.modules[__name__].__class__ = _ConfigModule
