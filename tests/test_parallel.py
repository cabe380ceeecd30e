import os
import signal
import threading
from collections.abc import Iterator

import pytest

from bench.errors import DataError, PartialRun
from bench.parallel import batches, forked_map, ordered_map


def test_results_come_in_order() -> None:
    assert list(ordered_map(lambda x: x * x, range(50), workers=4)) == [x * x for x in range(50)]


def test_an_exception_surfaces_at_its_own_item() -> None:
    results = ordered_map(lambda x: 6 // (3 - x), range(10), workers=3)
    assert [next(results) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_the_source_is_read_by_the_caller_and_no_further_than_the_window() -> None:
    read: list[int] = []
    threads: set[int] = set()

    def source() -> Iterator[int]:
        for item in range(100):
            threads.add(threading.get_ident())
            read.append(item)
            yield item

    results = ordered_map(lambda x: x, source(), workers=2, window=5)
    next(results)
    assert len(read) <= 6
    assert threads == {threading.get_ident()}
    results.close()


def test_stages_overlap() -> None:
    """Two stages that wait for each other's items finish only if both are under way at once."""
    barrier = threading.Barrier(2, timeout=30)
    list(ordered_map(lambda _: barrier.wait(), range(8), workers=2))


def test_batches_keep_the_order() -> None:
    assert batches([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]


def test_forked_results_come_in_order_and_an_error_at_its_place() -> None:
    found: list[int] = []

    def work(n: int) -> tuple[int, int]:
        if n == 5:
            raise DataError("no five")
        return n * n, os.getpid()

    with pytest.raises(DataError, match="no five"):
        for square, pid in forked_map(work, range(20), 3):
            found.append(square)
            assert pid != os.getpid()
    assert found == [0, 1, 4, 9, 16]
    assert [square for square, _ in forked_map(lambda n: (n, 0), range(7), 2)] == list(range(7))


def test_forked_workers_end_with_who_reads_them() -> None:
    results = forked_map(lambda n: (os.getpid(), bytes(1 << 20)), range(100), 2)
    pids = [next(results)[0], next(results)[0]]
    results.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_killed_forked_worker_is_said() -> None:
    def work(n: int) -> int:
        if n == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return n

    with pytest.raises(PartialRun, match="killed"):
        list(forked_map(work, range(10), 2))
