"""One file from the network, in place only when whole.

torchvision's ``download_url`` writes to the place itself, where a broken connection leaves half a
file, and shows a bar of its own that knows neither ``--quiet`` nor a log file.
"""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO

from qat_cli.terminal.console import Console
from qat_cli.terminal.ticker import Ticker

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 2**18
MB = 10**6
UNKNOWN = "its server does not say how large it is"


def fetch(urls: Sequence[str], path: Path, md5: str, console: Console) -> None:
    """Make sure that ``path`` holds the file with checksum ``md5``: download it unless it does.

    Args:
        urls: places that have it, tried in order.
        path: where to put it; its folder exists.
        md5: hexadecimal.
        console: progress goes to its standard error.
    Raises:
        OSError: no place gave the right file; says why not for each, and leaves no part of one.
    """
    if path.is_file() and _md5(path) == md5:
        return
    reasons = []
    for url in urls:
        try:
            return _download(url, path, md5, console)
        except (OSError, HTTPException) as error:
            reasons.append(f"{url}: {error}")
    raise OSError("; ".join(reasons))


def _download(url: str, path: Path, md5: str, console: Console) -> None:
    unfinished = path.with_name(path.name + ".part")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            with unfinished.open("wb") as file:
                _copy(response, file, path.name, console)
        if _md5(unfinished) != md5:
            raise OSError("what came is not the file that was expected (its checksum differs)")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _copy(response: Any, file: BinaryIO, name: str, console: Console) -> None:
    size, done = response.length, 0
    shown = UNKNOWN if size is None else f"{size / MB:.1f} MB"
    console.info(f"downloading {name} ({shown})")
    with Ticker(console, f"downloading {name}, MB", (size or 0) // MB) as ticker:
        while chunk := response.read(CHUNK):
            file.write(chunk)
            done += len(chunk)
            if size is not None:
                ticker.update(done // MB)
    if size is not None and done < size:
        raise OSError(f"the connection broke after {done} of {size} bytes")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
