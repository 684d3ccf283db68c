"""Tools of a native build: a C++ compiler and ninja."""

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass


class NativeBuildError(RuntimeError):
    """The native library cannot be built here; the text says what is missing or went wrong."""


@dataclass(frozen=True)
class Compiler:
    """A working C++ compiler: the command that runs it and what it says its version is."""

    command: str
    version: str


def find_compiler() -> Compiler:
    """Return the compiler that ``CXX`` names, else the first of c++, g++ and clang++ that runs.

    Raises:
        NativeBuildError: there is none.
    """
    named = os.environ.get("CXX", "").strip()
    for command in (named,) if named else ("c++", "g++", "clang++"):
        try:
            answer = subprocess.run(
                [*shlex.split(command), "--version"], capture_output=True, text=True, check=True
            )
        except (OSError, ValueError, subprocess.CalledProcessError):
            continue
        return Compiler(command, answer.stdout.splitlines()[0] if answer.stdout else "unknown")
    if named:
        raise NativeBuildError(f"CXX={named!r} does not run; name a C++ compiler or unset CXX")
    raise NativeBuildError("no C++ compiler (g++/c++/clang++) found; install one or set CXX")


def find_ninja() -> str:
    """Return the path of ``ninja``: that of the Python package of this name, else one on ``PATH``.

    Raises:
        NativeBuildError: there is neither.
    """
    try:
        import ninja  # only here: a build is rare
    except ImportError:
        folders = ""
    else:
        folders = ninja.BIN_DIR
    found = shutil.which("ninja", path=folders) or shutil.which("ninja")
    if found is None:
        raise NativeBuildError("no ninja found; install it with `pip install ninja`")
    return found
