"""The processes of a command, and the exchange between them.

``torchrun`` and ``--nproc`` start several processes with the same command line and tell each its
place in environment variables. :func:`joined` reads them. One process alone is the usual case, in
which every function here returns at once what it was given.

Only the first process speaks: what the others print is dropped, and they end without a word when it
does the telling. Small things are exchanged by gloo on the CPU also where tensors travel by nccl,
so that no step waits for a GPU to learn that another process is gone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from qat_cli.data.share import WHOLE, Share
from qat_cli.errors import Interrupted, SaidElsewhere, UserError, WorkFailed

Made = TypeVar("Made")
#: How long a process waits for the others; the slowest may be decoding images.
TIMEOUT = timedelta(minutes=30)
_FAILURE = "qat/failure"  # key of the store: what went wrong first, and where
_stores: list[dist.Store] = []  # that of the group that is joined


class ProcessLost(WorkFailed):
    """Another process is gone, or failed and said why (``is_explained``)."""

    def __init__(self, message: str, exit_code: int, is_explained: bool) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.is_explained = is_explained


def size() -> int:
    """How many processes share the work; 1 outside :func:`joined`."""
    return dist.get_world_size() if _stores else 1


def rank() -> int:
    """The number of this process; 0 is the first."""
    return dist.get_rank() if _stores else 0


def is_first() -> bool:
    """This is the process that speaks and writes."""
    return rank() == 0


def local_rank() -> int:
    """The number of this process among those on its machine, which is that of its GPU."""
    return int(os.environ["LOCAL_RANK"]) if _stores else 0


def local_size() -> int:
    """How many of the processes are on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if _stores else 1


def own_share() -> Share:
    """The share of this process in the data."""
    return Share(rank(), size()) if _stores else WHOLE


def refuse_several(setting: str, instead: str) -> None:
    """Raise :class:`UserError` where ``setting`` is used in more than one process."""
    if size() > 1:
        raise UserError(f"{setting} works in one process, and there are {size()}; {instead}.")


@contextmanager
def joined() -> Iterator[None]:
    """Inside this context the processes that were started together know each other.

    The first one ends it as if it were alone. The others end with :class:`SaidElsewhere`, with the
    exit code of the first, so that nothing is answered twice.

    Raises:
        UserError: the environment describes no group of processes, or they do not find each other.
        WorkFailed: one of them failed or was lost; the message says which and why where known.
    """
    if _stores or os.environ.get("WORLD_SIZE", "1") == "1":
        yield
        return
    _stores.append(_open())
    silence = nullcontext() if is_first() else _silenced()
    was_first = is_first()
    try:
        with silence:
            yield
    except BaseException as error:
        ending = _as_the_job_ends(error)
        if ending is error:
            raise
        raise ending from error
    else:
        dist.destroy_process_group()
    finally:
        _stores.clear()
    if not was_first:
        raise SaidElsewhere(0)


@contextmanager
def alone() -> Iterator[None]:
    """Inside this context nothing is exchanged, as if there were no other processes.

    For what one process does while the others do not: finding out what went wrong in it.
    """
    kept = list(_stores)
    _stores.clear()
    try:
        yield
    finally:
        _stores.extend(kept)


@contextmanager
def agreeing() -> Iterator[None]:
    """Inside this context all processes succeed, or all of them fail.

    Nothing may be exchanged in there: a process that has failed would not take part.

    Raises:
        UserError, WorkFailed: in the first process, where any of them failed.
        SaidElsewhere: in the others.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
    told = gathered(None if failure is None else _told(failure))
    failed = [number for number, entry in enumerate(told) if entry is not None]
    if not failed:
        return
    if is_first():
        raise failure or _failure_of(told[failed[0]])
    raise SaidElsewhere(told[failed[0]]["exit_code"])


@contextmanager
def one_by_machine(what: str) -> Iterator[None]:
    """On each machine one process does this before the others, for whom little is left to do.

    Args:
        what: a name for it, the same in all processes and different every time.
    """
    key = f"qat/{what}/{rank() - local_rank()}"
    if _stores and local_rank() > 0:
        with _exchanging():
            _stores[0].wait([key], TIMEOUT)
    try:
        yield
    finally:
        if _stores and local_rank() == 0:
            with suppress(RuntimeError):  # nobody left who waits
                _stores[0].set(key, "done")


def from_first(make: Callable[[], Made]) -> Made:
    """The result of ``make`` in the first process, where alone it is called.

    Raises:
        SaidElsewhere: in the others, where it failed in the first.
    """
    if size() == 1:
        return make()
    told: list[Any] = [None, None]
    failure: Exception | None = None
    if is_first():
        try:
            told[0] = make()
        except Exception as error:
            failure = error
            told[1] = _told(error)
    with _exchanging():
        dist.broadcast_object_list(told, src=0, device=torch.device("cpu"))
    if failure is not None:
        raise failure
    if told[1] is not None:
        raise SaidElsewhere(told[1]["exit_code"])
    made: Made = told[0]
    return made


def gathered(value: Any) -> list[Any]:
    """The ``value`` of every process, in their order; plain values."""
    if size() == 1:
        return [value]
    found: list[Any] = [None] * size()
    with _exchanging():
        dist.all_gather_object(found, value)
    return found


def summed(tensor: Tensor) -> Tensor:
    """The sum over the processes, in place."""
    return _reduced(tensor, dist.ReduceOp.SUM)


def largest(tensor: Tensor) -> Tensor:
    """The largest of the processes, element by element, in place."""
    return _reduced(tensor, dist.ReduceOp.MAX)


def stacked(tensor: Tensor) -> Tensor:
    """Tensors of one shape, from every process: [processes, ...]."""
    if size() == 1:
        return tensor[None]
    own = tensor.contiguous()
    found = [torch.empty_like(own) for _ in range(size())]
    with _exchanging():
        dist.all_gather(found, own)
    return torch.stack(found)


def overwritten_by_first(tensor: Tensor) -> None:
    """Give ``tensor`` the values that it has in the first process."""
    if size() == 1:
        return
    with _exchanging(), torch.no_grad():
        whole = tensor.detach().contiguous()  # nccl takes no other layout
        dist.broadcast(whole, src=0)
        tensor.copy_(whole)


def _reduced(tensor: Tensor, operation: Any) -> Tensor:
    if size() > 1:
        with _exchanging():
            dist.all_reduce(tensor, operation)
    return tensor


def _open() -> dist.Store:
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, number, count = next(iter(dist.rendezvous("env://", timeout=TIMEOUT)))
        dist.init_process_group(
            backend, store=store, rank=number, world_size=count, timeout=TIMEOUT
        )
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the processes do not find each other: "
            f"{error}. Start them with torchrun or --nproc, or unset WORLD_SIZE."
        ) from error
    missing = [name for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE") if name not in os.environ]
    if missing:
        raise UserError(f"{' and '.join(missing)} must be set, as torchrun does.")
    return store


@contextmanager
def _silenced() -> Iterator[None]:
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        yield


@contextmanager
def _exchanging() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # torch has no class of its own for what gloo finds
        told = _first_failure()
        if told is not None:
            explained = _failure_of(told)
            raise ProcessLost(str(explained), told["exit_code"], True) from error
        raise ProcessLost(
            "the connection to another process of this job was lost: it was killed, ran out of "
            "memory, or its machine is gone.",
            WorkFailed.exit_code,
            False,
        ) from error


def _as_the_job_ends(error: BaseException) -> BaseException:
    """The error that this process ends with, where ``error`` came up in it."""
    if isinstance(error, SaidElsewhere):
        return error
    is_told_by_first = isinstance(error, Interrupted)  # which all agreed on
    if isinstance(error, ProcessLost):
        is_told_by_first = error.is_explained
    elif not isinstance(error, Interrupted):
        with suppress(RuntimeError):  # the store is gone with the process that kept it
            _stores[0].compare_set(_FAILURE, "", json.dumps(_told(error)))
    if is_first():
        return error
    if is_told_by_first:
        return SaidElsewhere(_exit_code(error))
    return _failure_of(_told(error)) if isinstance(error, UserError | WorkFailed) else error


def _first_failure() -> dict[str, Any] | None:
    with suppress(RuntimeError):
        if _stores[0].check([_FAILURE]):
            told: dict[str, Any] = json.loads(_stores[0].get(_FAILURE))
            return told
    return None


def _told(error: BaseException) -> dict[str, Any]:
    is_known = isinstance(error, UserError | WorkFailed | Interrupted)
    message = str(error) if is_known else f"internal error: {type(error).__name__}: {error}"
    return {"process": rank(), "message": message, "exit_code": _exit_code(error)}


def _exit_code(error: BaseException) -> int:
    return int(getattr(error, "exit_code", WorkFailed.exit_code))


def _failure_of(told: dict[str, Any]) -> Exception:
    kind = UserError if told["exit_code"] == UserError.exit_code else WorkFailed
    return kind(f"process {told['process']}: {told['message']}")
