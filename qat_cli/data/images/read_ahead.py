"""Work done ahead of time by threads, in order.

Threads, not processes: of the 1.8 ms that a 500x375 JPEG takes to become 224x224 pixels, Pillow and
NumPy hold Python's lock for less than 0.1 ms, so that a dozen threads or more decode side by side,
and nothing has to be copied from one process to another, no process to be started or to be left
behind by Ctrl-C.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

# Beyond it threads mostly wait for Python's lock: a twentieth of their work needs it.
MOST_THREADS = 16


def thread_count(wanted: int) -> int:
    """``wanted`` threads; 0 means one per core, at most ``MOST_THREADS``."""
    return wanted or min(os.cpu_count() or 1, MOST_THREADS)


def read_ahead(
    work: Callable[[Job], Result], jobs: Iterable[Job], threads: int, waiting: int
) -> Iterator[Result]:
    """``work(job)`` for each job, in order.

    Args:
        work: called by several threads at a time.
        jobs: looked at only as far as work has begun.
        threads: how many work, at least 1.
        waiting: results that are done and not asked for yet, at most; so ``threads + waiting``
            results exist at any time.
    Raises:
        Whatever ``work`` raises, when its result is asked for; what was begun is waited for and the
        rest forgotten, as it is when the iterator is closed.
    """
    rest = iter(jobs)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="read-ahead")
    coming: deque[Future[Result]] = deque()
    try:
        coming.extend(pool.submit(work, job) for job in islice(rest, threads + waiting))
        while coming:
            result = coming.popleft().result()
            coming.extend(pool.submit(work, job) for job in islice(rest, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
