"""Overlap of decode, preprocess, infer, postprocess and score: in order, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(
    work: Callable[[T], R], items: Iterable[T], workers: int, window: int | None = None
) -> Generator[R, None, None]:
    """`map` on threads: results in order, at most `window` items under way.

    Who may stop before its end closes it (`contextlib.closing`): left to the garbage collector, which may run on one
    of its own threads, it would wait for itself.

    `items` is advanced by the caller's thread, so a stage that must own a thread (the device) may feed it.
    An exception, of `work` or of `items`, surfaces at its own place, after the results before it.
    """
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        futures = _submitted(pool, work, iter(items))
        try:
            pending.extend(islice(futures, window or 2 * workers))
            while pending:
                yield pending.popleft().result()
                pending.extend(islice(futures, 1))
        finally:
            for future in pending:
                future.cancel()


def _submitted(pool: ThreadPoolExecutor, work: Callable[[T], R], source: Iterator[T]) -> Iterator[Future[R]]:
    """A future an item; where the source itself fails, a failed one and no more."""
    while True:
        try:
            item = next(source)
        except StopIteration:
            return
        except BaseException as error:
            failed: Future[R] = Future()
            failed.set_exception(error)
            yield failed
            return
        yield pool.submit(work, item)


def batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Cut from the whole order, before anything is left out: an image always has the same neighbours."""
    return [items[start : start + size] for start in range(0, len(items), size)]
