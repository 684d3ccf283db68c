"""Compilation of the C++ files, by a ninja file of our own.

torch's own helper takes seconds to start and shows nothing until all is done. What makes the
compilation short is in the sources: the loops are compiled without torch's tensors, the other files
include the headers of single operators (``AT_PER_OPERATOR_HEADERS``), and those that need the same
expensive headers are compiled as one (``csrc/units/``).
"""

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

#: Beside those of the caller. C++20 is what torch's headers are written in.
FLAGS = ("-fPIC", "-std=c++20", "-DAT_PER_OPERATOR_HEADERS")

_INCLUDED = re.compile(r'^#include "(.+\.cpp)"', re.MULTILINE)
_DONE = re.compile(r"\[(\d+)/(\d+)\] (.+)")


def units(sources: Iterable[Path]) -> list[Path]:
    """Return the files to compile, those that take longest first.

    Args:
        sources: C++ files and headers. A ``.cpp`` that another one includes is compiled with that.
    """
    texts = {
        path.resolve(): path.read_text(encoding="utf-8")
        for path in sources
        if path.suffix == ".cpp"
    }
    parts = {
        path: [(path.parent / name).resolve() for name in _INCLUDED.findall(text)]
        for path, text in texts.items()
    }

    def is_costly(path: Path) -> bool:
        return any("#include <torch/" in texts[part] for part in (path, *parts[path]))

    included = {part for named in parts.values() for part in named}
    return sorted(texts.keys() - included, key=lambda path: (not is_costly(path), path))


def ninja_file(
    root: Path, library: str, sources: list[Path], compiler: str, flags: list[str]
) -> str:
    """Return the text of the build file: one command per unit, one to link them.

    Args:
        root: the folder that ``sources`` are shown relative to.
        library: file name of what is made.
        compiler: the command, of one word or more.
        flags: for each compilation and for linking.
    """
    torch_folder = Path(torch.__file__).resolve().parent
    command = _shell([*shlex.split(compiler), *FLAGS, *flags])
    headers = _shell(["-isystem", str(torch_folder / "include")])
    libraries = _shell([f"-L{torch_folder / 'lib'}", "-lc10", "-ltorch_cpu", "-ltorch"])
    lines = [
        "rule compile",
        f"  command = {command} {headers} -c $in -o $out",
        "  description = $name",
        "rule link",
        f"  command = {command} -shared $in {libraries} -o $out",
        "  description = the library",
    ]
    objects = []
    for path in units(sources):
        name = path.relative_to(root.resolve()).as_posix()
        objects.append(_escaped(name.replace("/", ".") + ".o"))
        lines += [f"build {objects[-1]}: compile {_escaped(str(path))}", f"  name = {name}"]
    lines += [
        f"build {_escaped(library)}: link {' '.join(objects)}",
        f"default {_escaped(library)}",
    ]
    return "\n".join(lines) + "\n"


def _shell(words: list[str]) -> str:
    return shlex.join(words).replace("$", "$$")


def _escaped(path: str) -> str:
    return re.sub(r"([$ :])", r"$\1", path)


def run_ninja(ninja: str, folder: Path, verbose: bool) -> Iterator[str]:
    """Run the build file in ``folder``; yield a line after each finished command.

    Args:
        verbose: commands and output of the compiler go to standard error, and nothing is yielded.
    Raises:
        subprocess.CalledProcessError: a command failed; ``output`` has all that was said, or is
            None where that was shown already.
    """
    # One job per processor: ninja's two more would slow down the file that all wait for.
    jobs = os.environ.get("MAX_JOBS", "")
    jobs = jobs if jobs.isdigit() else str(os.cpu_count() or 1)
    command = [ninja, "-C", str(folder), "-j", jobs, *(["-v"] if verbose else [])]
    environment = dict(os.environ, NINJA_STATUS="[%f/%t] ")
    environment.pop("PYTHONWARNINGS", None)  # ninja, or a compiler's wrapper, may be in Python
    began = time.monotonic()
    said = []
    # Shown on standard error: standard output belongs to the program's own answer.
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=2 if verbose else subprocess.PIPE,
        stderr=2 if verbose else subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                said.append(line)
                done = _DONE.match(line)
                if done is not None:
                    number, of, name = done.groups()
                    yield f"{number} of {of}, {time.monotonic() - began:.0f} s: {name}"
        except BaseException:
            process.terminate()  # ninja ends what it has started
            raise
    if process.returncode != 0:
        raise subprocess.CalledProcessError(
            process.returncode, command, None if verbose else "".join(said)
        )
