"""Files written whole or not at all.

A kill at any moment leaves the old file or the new one, never half.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from qat_cli.errors import WorkFailed


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary file beside ``path``, flush it to the disk, rename it to ``path``.

    Raises:
        WorkFailed: the disk is full, or the folder cannot be written; what was at ``path`` stays.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's 0600 would hide it from colleagues
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        _flush_folder(path.parent)
    except OSError as error:
        raise WorkFailed(
            f"cannot write {path}: {error.strerror or error}; what was saved there before is "
            "unchanged. Free space or fix the permissions, then go on with --resume."
        ) from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
