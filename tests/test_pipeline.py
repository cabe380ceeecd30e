import threading
from collections.abc import Iterator

import pytest

from bench.pipeline import batches, ordered_map


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
