"""Generated data sets: images drawn by a pool of processes, splits published atomically."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.errors import DataError, UsageError
from bench.io.files import cache_folder
from bench.types import ProgressCallback

PNG_LEVEL = 3


@dataclass(frozen=True)
class GeneratedDataset:
    """Data set generated from seeds. Its functions must be picklable (module level) for worker processes.

    `parts(split)` returns the files and folders of a split, relative to the root. `write_one(root, split, index)`
    writes one image; its return values are the `records` of `finish(root, split, records)`.
    """

    name: str
    version: int  # raised when any pixel changes; part of the folder's name
    splits: Mapping[str, int]
    parts: Callable[[str], tuple[str, ...]]
    write_one: Callable[[Path, str, int], Any]
    finish: Callable[[Path, str, list[Any]], None] | None = None

    def cache_root(self) -> Path:
        """Return the folder of generated images: in `$BENCH_CACHE`, else in the user's cache folder."""
        return cache_folder() / f"{self.name}-v{self.version}"

    def ensure(self, root: Path | None, split: str, on_image: ProgressCallback | None = None) -> Path:
        """Return the root of a complete split, generating it if necessary; None means the cache."""
        return self.write_split(self.cache_root() if root is None else root, split, on_image=on_image)

    def write_split(self, root: Path, split: str, *, limit: int | None = None, workers: int | None = None,
                    on_image: ProgressCallback | None = None) -> Path:  # fmt: skip
        """Write a split (its first `limit` images) under `root` and return `root`.

        Images are written to a temporary folder in `root` and moved at the end; the marker file comes last. An
        interrupted call leaves no marker, so the next call starts over. Of two concurrent calls the first to finish
        publishes its files; the pixels are the same. Raises UsageError if the split is unknown, DataError if the disk
        is full or read-only.
        """
        if split not in self.splits:
            raise UsageError(f"{self.name} has no split '{split}'; it has {', '.join(self.splits)}")
        count = self.splits[split] if limit is None else min(limit, self.splits[split])
        if images_kept(root, split) >= count:
            return root
        with clear_disk_errors(root, self.name):
            root.mkdir(parents=True, exist_ok=True)
            remove_stale_parts(root)
            with tempfile.TemporaryDirectory(prefix=f".part-{split}-", dir=root, ignore_cleanup_errors=True) as scratch:
                made = Path(scratch)
                task = partial(self.write_one, made, split)
                records = run_all(task, count, workers or os.cpu_count() or 1, on_image)
                if self.finish is not None:
                    self.finish(made, split, records)
                self.publish(made, root, split, count)
        return root

    def publish(self, made: Path, root: Path, split: str, count: int) -> None:
        """Move the finished files into place under a lock, and write the marker last."""
        with open(root / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if images_kept(root, split) >= count:
                # Another process has published the split in the meantime, with the same pixels.
                return
            # Without its marker a split is incomplete: an interruption between the moves leaves nothing that is taken
            # for whole.
            marker(root, split).unlink(missing_ok=True)
            for number, part in enumerate(self.parts(split)):
                target = root / part
                target.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):
                    target.rename(made / f"old-{number}")
                (made / part).rename(target)
            note = made / "complete.json"
            note.write_text(json.dumps({"split": split, "images": count, "version": self.version}) + "\n")
            note.replace(marker(root, split))


def marker(root: Path, split: str) -> Path:
    return root / f"complete-{split}.json"


def images_kept(root: Path, split: str) -> int:
    """Return the number of images of a complete split according to its marker, else 0."""
    try:
        return int(json.loads(marker(root, split).read_text())["images"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0


def remove_stale_parts(root: Path) -> None:
    """Remove temporary folders older than a day, left by interrupted calls."""
    for parts in root.glob(".part-*"):
        # Another process may remove it at the same time.
        with suppress(FileNotFoundError):
            if time.time() - parts.stat().st_mtime > 24 * 3600:
                shutil.rmtree(parts, ignore_errors=True)


@contextmanager
def clear_disk_errors(root: Path, name: str) -> Iterator[None]:
    """Turn OSError into DataError with one clear message, such as for a full disk."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else f"cannot write there ({error.strerror or error})"
        raise DataError(
            f"{root}: {reason} while generating {name}; free some space (3,000 images need about 1 GB) "
            "or set BENCH_CACHE to another folder"
        ) from error


def run_all(task: Callable[[int], Any], count: int, workers: int, on_image: ProgressCallback | None) -> list[Any]:
    """Return `task(i)` for i in 0..count - 1, in order; in spawned processes unless `workers` is 1."""
    if workers == 1:
        return collect(map(task, range(count)), count, on_image)
    # spawn: a process that has started threads (torch, OpenBLAS) must not be forked.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, max(count, 1)), mp_context=context) as pool:
        try:
            return collect(pool.map(task, range(count), chunksize=4), count, on_image)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def collect(results: Iterator[Any], count: int, on_image: ProgressCallback | None) -> list[Any]:
    records = []
    for record in results:
        records.append(record)
        if on_image is not None:
            on_image(len(records), count)
    return records
