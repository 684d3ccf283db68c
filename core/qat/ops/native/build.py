"""Native library built from ``csrc/`` and kept in a cache.

The file name in the cache carries a hash of all that the result depends on: sources, compiler and
its version, torch and its C++ ABI, flags. A change of any of them is another file, so nothing is
ever checked for being up to date. A build happens in a temporary folder beside its place and is
renamed into it, under a lock that the operating system takes back when its holder dies; two
processes that start at once therefore build once, and none can see half a library.
"""

import hashlib
import logging
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from qat import config
from qat.ops.native import compile as native_compile
from qat.ops.native.toolchain import Compiler, NativeBuildError, find_compiler, find_ninja

NAME = "qat_native"
#: Vectorised for the machine that compiles, whose processor is part of the file name; no
#: contraction into fused multiply-adds, which round once where the composed ops round twice. Errors
#: and traps of the mathematical functions are nobody's concern here; NaN and infinity are.
FLAGS = (
    "-O2",
    "-march=native",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp-simd",
)

_log = logging.getLogger("qat")


def source_folder() -> Path:
    """Return the folder of the C++ files: ``qat/_csrc`` where installed, ``csrc`` in a checkout.

    Raises:
        NativeBuildError: neither is there, or has any.
    """
    package = Path(__file__).resolve().parents[2]
    folders = (package / "_csrc", package.parents[1] / "csrc")
    for folder in folders:
        if any(folder.rglob("*.cpp")):
            return folder
    raise NativeBuildError(f"no C++ sources in {' or '.join(map(str, folders))}")


def source_files(folder: Path) -> list[Path]:
    """Return the C++ files and headers in ``folder`` and below."""
    return sorted(path for path in folder.rglob("*") if path.suffix in (".cpp", ".h"))


def flags(compiler: Compiler) -> list[str]:
    """Return the flags for ``compiler``: :data:`FLAGS`, and threads where it brings OpenMP."""
    return list(FLAGS) if "clang" in compiler.version else [*FLAGS, "-fopenmp"]


def _processor() -> str:
    # What -march=native looks at; the cache may lie in a home folder that many machines share.
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))


def library_name(folder: Path, compiler: Compiler) -> str:
    """Return the file name of the library that the sources in ``folder`` give with ``compiler``."""
    digest = hashlib.sha256()
    parts = [
        torch.__version__,
        str(torch.compiled_with_cxx11_abi()),
        sys.implementation.cache_tag or "",
        platform.machine(),
        _processor(),
        shutil.which(shlex.split(compiler.command)[0]) or "",
        compiler.command,
        compiler.version,
        *native_compile.FLAGS,
        *flags(compiler),
    ]
    for path in source_files(folder):
        parts += [path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8")]
    for part in parts:
        digest.update(part.encode() + b"\0")
    return f"{NAME}-torch{torch.__version__}-{digest.hexdigest()[:16]}.so"


def cache_folders() -> list[Path]:
    """Return where a library is looked for and kept, best first.

    ``$QAT_CACHE_DIR``, else ``$XDG_CACHE_HOME/qat``, else ``~/.cache/qat``; then, for where that
    cannot be written, a folder of this user's own among the temporary files.
    """
    named = os.environ.get("QAT_CACHE_DIR", "").strip()
    shared = os.environ.get("XDG_CACHE_HOME", "").strip()
    if named:
        first = Path(named)
    elif shared:
        first = Path(shared) / "qat"
    else:
        first = Path.home() / ".cache" / "qat"
    return [first.absolute(), _temporary_folder()]


def _temporary_folder() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"qat-{user}"


def _is_trusted(folder: Path) -> bool:
    # Code is loaded from here, and anyone may create a folder among the temporary files.
    if folder != _temporary_folder() or not hasattr(os, "getuid"):
        return True
    status = folder.lstat()
    return (
        stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o22
    )


def _cached(folders: list[Path], name: str) -> Path | None:
    for folder in folders:
        if (folder / name).is_file() and _is_trusted(folder):
            return folder / name
    return None


def _writable(folders: list[Path]) -> Path:
    for folder in folders:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and _is_trusted(folder):
            return folder
    raise NativeBuildError(
        f"no cache folder can be written ({', '.join(map(str, folders))}); set QAT_CACHE_DIR"
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl  # POSIX only; an ImportError here means no native backend

    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("native STE backend: waiting for another process that is compiling it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(rebuild: bool = False) -> Path:
    """Return the path of the library, from the cache or compiled now.

    Args:
        rebuild: compile even though the cache has the file, because it turned out not to load.
    Raises:
        NativeBuildError: no sources, compiler, ninja or writable folder, or compilation failed.
    """
    sources = source_folder()
    compiler = find_compiler()
    name = library_name(sources, compiler)
    folders = cache_folders()
    found = None if rebuild else _cached(folders, name)
    if found is not None:
        return found
    target = _writable(folders) / name
    with _locked(target.with_suffix(".lock")):
        if rebuild or not target.is_file():
            _build_into(target, sources, compiler)
    return target


def _build_into(target: Path, sources: Path, compiler: Compiler) -> None:
    _log.info(
        "native STE backend: compiling %s with %s (once, about half a minute)",
        target.name,
        compiler.command,
    )
    began = time.monotonic()
    # Left by a process that was killed: we hold the lock, so nobody is using it.
    for stale in target.parent.glob(f"{target.stem}.build-*"):
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{target.stem}.build-", dir=target.parent) as folder:
        _compile(Path(folder), sources, compiler)
        os.replace(Path(folder) / f"{NAME}.so", target)
    _log.info("native STE backend: compiled in %.0f s", time.monotonic() - began)


def _compile(folder: Path, sources: Path, compiler: Compiler) -> None:
    text = native_compile.ninja_file(
        sources, f"{NAME}.so", source_files(sources), compiler.command, flags(compiler)
    )
    (folder / "build.ninja").write_text(text, encoding="utf-8")
    try:
        for progress in native_compile.run_ninja(find_ninja(), folder, config.VERBOSE):
            _log.info("native STE backend: compiled %s", progress)
    except subprocess.CalledProcessError as failed:
        raise NativeBuildError(
            _compile_error(compiler, failed.output, folder.parent / "build.log")
        ) from None


def _compile_error(compiler: Compiler, output: str | None, log: Path) -> str:
    problem = f"compiling csrc with {compiler.command} failed"
    if output is None:
        return f"{problem} (see above)"
    log.write_text(output, encoding="utf-8")
    lines = [line.strip() for line in output.splitlines()]
    # The compiler's own words; around them stand those of ninja.
    errors = [line for line in lines if " error: " in line]
    errors = errors or [line for line in lines if "error" in line.lower()]
    return f"{problem}: {errors[0] if errors else 'no message'} (all of it in {log})"
