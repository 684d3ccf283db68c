"""Work done ahead by threads."""

import threading
import time

import pytest

from qat_cli.data.images.read_ahead import MOST_THREADS, read_ahead, thread_count


def test_results_come_in_order_whatever_takes_longest():
    def work(number):
        time.sleep(0.004 * (number % 3 == 0))
        return number

    assert list(read_ahead(work, range(30), threads=4, waiting=2)) == list(range(30))


def test_no_more_is_begun_than_may_wait():
    begun = []
    stream = read_ahead(begun.append, range(100), threads=2, waiting=3)
    next(stream)
    time.sleep(0.05)
    assert len(begun) <= 1 + 2 + 3  # the one that was asked for, and those ahead
    stream.close()


def test_several_threads_work_at_the_same_time():
    together = threading.Barrier(3, timeout=10)  # breaks unless three wait at once
    assert len(list(read_ahead(lambda job: together.wait(), range(6), 3, 0))) == 6


def test_an_error_is_raised_when_its_result_is_asked_for():
    def work(number):
        if number == 2:
            raise ValueError("third")
        return number

    stream = read_ahead(work, range(9), threads=3, waiting=3)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(ValueError, match="third"):
        next(stream)


def test_closing_forgets_what_has_not_begun_and_leaves_no_thread():
    before, begun = threading.active_count(), []

    def work(number):
        begun.append(number)
        time.sleep(0.02)

    stream = read_ahead(work, range(1000), threads=2, waiting=50)
    next(stream)
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 0.5  # 52 jobs would take more
    assert len(begun) < 10
    assert threading.active_count() == before


def test_no_jobs_give_no_results():
    assert list(read_ahead(str, [], threads=2, waiting=2)) == []


def test_zero_means_a_thread_per_core_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert (thread_count(0), thread_count(3)) == (MOST_THREADS, 3)
