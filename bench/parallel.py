"""Ordered maps over threads and forked processes, with bounded memory."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import fcntl
import gc
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from bench.errors import PartialRun


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    # Not on macOS. A container or a batch system may give a process some of the machine's cores.
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


# By default; more would hold more images in memory than they save time.
WORKERS = min(usable_cores(), 16)

PIPE_BYTES = 1 << 20  # the most that Linux allows by default

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(
    work: Callable[[T], R], items: Iterable[T], workers: int, window: int | None = None
) -> Generator[R, None, None]:
    """Map on threads: yield results in order, with at most `window` items in flight (default: two per worker).

    `items` is advanced by the caller's thread, so a stage that must stay on one thread (the GPU) can feed it. An
    exception of `work` or `items` is raised at its own position, after all earlier results.

    Close the generator (`contextlib.closing`) if it may not be exhausted: garbage collection can run on one of its own
    threads, which would then wait for itself.
    """
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        futures = _submitted(pool, work, iter(items))
        try:
            # Two items a worker: while one is worked on, the next is ready, and memory stays bounded.
            pending.extend(islice(futures, window or 2 * workers))
            while pending:
                yield pending.popleft().result()
                pending.extend(islice(futures, 1))
        finally:
            for future in pending:
                future.cancel()


def _submitted(pool: ThreadPoolExecutor, work: Callable[[T], R], source: Iterator[T]) -> Iterator[Future[R]]:
    """Yield one future per item. If the source raises, yield a failed future and stop."""
    while True:
        try:
            item = next(source)
        except StopIteration:
            return
        except BaseException as error:
            # The error of the source takes its place in the queue, so that all results before it are still yielded.
            failed: Future[R] = Future()
            failed.set_exception(error)
            yield failed
            return
        yield pool.submit(work, item)


def forked_map(work: Callable[[T], R], items: Sequence[T], workers: int) -> Generator[R, None, None]:
    """Map on processes forked now, for work that holds the GIL: yield results in order.

    Results are pickled, and each wakes this process: an item should be a batch of work. A worker blocks while its pipe
    is full, which bounds memory. An exception of `work` is raised at its position; PartialRun if a worker was killed.
    `work` must not use locks that other threads may hold.
    """
    # gc.freeze() keeps inherited objects out of collection, so that forked children do not copy their pages.
    gc.freeze()
    hands = [_forked(work, items[number::workers]) for number in range(workers)]
    results = [_received(end) for _, end in hands]
    try:
        for number in range(len(items)):
            yield next(results[number % workers])
    finally:
        for process, end in hands:
            end.close()
            process.terminate()
            process.join()
        gc.unfreeze()


def _forked(work: Callable[[T], R], items: Sequence[T]) -> tuple[Any, Connection]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    # The usual 64 KiB hold less than a batch of image lines: a worker would wait until it is its turn to be read. Linux
    # only, and a user may have as much as is allowed in other pipes.
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(ours.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    process = context.Process(target=_serve, args=(work, items, theirs), daemon=True)
    process.start()
    # While this process holds the sending end, too, the death of the worker would not end the pipe.
    theirs.close()
    return process, ours


def _received(end: Connection) -> Iterator[Any]:
    """Yield the results of a worker. Raise its exception at its position, or PartialRun if it was killed."""
    while True:
        try:
            result, error = end.recv()
        except EOFError:
            raise PartialRun("a worker process was killed; free some memory, or take --workers 1") from None
        if error is not None:
            raise error
        yield result


def _serve(work: Callable[[T], R], items: Sequence[T], end: Connection) -> None:
    """Run in the worker: send each result, or an exception, which ends it."""
    # Ctrl-C reaches the whole process group; the parent process ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for item in items:
        try:
            result = work(item)
        except Exception as error:
            end.send((None, error))
            return
        end.send((result, None))


def batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Split into batches of `size`. Callers split before skipping items: an image always has the same neighbours."""
    return [items[start : start + size] for start in range(0, len(items), size)]
