"""From scenes to files: the layout of Cityscapes, written by a pool of processes, whole or not at all."""

import errno
import fcntl
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from PIL import Image

from bench.datasets.minicity.scene import SPLITS, VERSION, Scene, render
from bench.errors import DataError, UsageError

OnImage = Callable[[int, int], None]  # images done, images in all
PNG_LEVEL = 3
KINDS = ("leftImg8bit", "gtFine")


def cache_root() -> Path:
    """Where generated scenes are kept: `$BENCH_CACHE`, else the user's cache folder."""
    if chosen := os.environ.get("BENCH_CACHE"):
        base = Path(chosen)
    elif home := os.environ.get("XDG_CACHE_HOME"):
        base = Path(home) / "panoptic-bench"
    else:
        base = Path.home() / ".cache" / "panoptic-bench"
    return base / f"minicity-v{VERSION}"


def ensure(root: Path | None, split: str, on_image: OnImage | None = None) -> Path:
    """The root of a complete split, generated first where it is missing."""
    root = cache_root() if root is None else root
    return write_split(root, split, on_image=on_image)


def marker(root: Path, split: str) -> Path:
    return root / f"complete-{split}.json"


def write_split(root: Path, split: str, *, limit: int | None = None, workers: int | None = None,
                on_image: OnImage | None = None) -> Path:  # fmt: skip
    """Write a split (its first `limit` images) under `root` and return `root`.

    Images go to a folder of this process beside the final one and are moved at the end; the marker
    comes last. A killed call leaves no marker, so the next one starts anew; of two calls at once the
    first to finish wins, and the other keeps its result: both hold the same pixels.
    """
    if split not in SPLITS:
        raise UsageError(f"minicity has no split '{split}'; it has {', '.join(SPLITS)}")
    count = SPLITS[split] if limit is None else min(limit, SPLITS[split])
    if images_kept(root, split) >= count:
        return root
    with clear_disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        sweep(root)
        parts = Path(tempfile.mkdtemp(prefix=f".part-{split}-", dir=root))
        try:
            write_images(parts, split, count, workers or os.cpu_count() or 1, on_image)
            publish(parts, root, split, count)
        finally:
            shutil.rmtree(parts, ignore_errors=True)
    return root


def images_kept(root: Path, split: str) -> int:
    """Images of a split that was written to its end, as its marker says; else 0."""
    try:
        return int(json.loads(marker(root, split).read_text())["images"])
    except (OSError, ValueError, KeyError):
        return 0


def sweep(root: Path) -> None:
    """Remove what killed calls left: parts older than a day."""
    for parts in root.glob(".part-*"):
        with suppress(FileNotFoundError):  # another process may sweep too
            if time.time() - parts.stat().st_mtime > 24 * 3600:
                shutil.rmtree(parts, ignore_errors=True)


@contextmanager
def clear_disk_errors(root: Path) -> Iterator[None]:
    """A full or read-only disk as one clear message."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else f"cannot write there ({error.strerror or error})"
        raise DataError(
            f"{root}: {reason} while generating minicity; free some space (train needs about 1 GB) "
            "or set BENCH_CACHE to another folder"
        ) from error


def write_images(root: Path, split: str, count: int, workers: int, on_image: OnImage | None) -> None:
    """Render and save; with one worker in this process, else in spawned ones."""
    task = partial(write_one, root, split)
    if workers == 1:
        for done in map(task, range(count)):
            report(on_image, done + 1, count)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, max(count, 1)), mp_context=context) as pool:
        try:
            for done in pool.map(task, range(count), chunksize=4):
                report(on_image, done + 1, count)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def report(on_image: OnImage | None, done: int, count: int) -> None:
    if on_image is not None:
        on_image(done, count)


def write_one(root: Path, split: str, index: int) -> int:
    """One scene to its three files; returns the index."""
    save(render(split, index), root, split)
    return index


def save(scene: Scene, root: Path, split: str) -> None:
    photo, truth = (root / kind / split / scene.city for kind in KINDS)
    photo.mkdir(parents=True, exist_ok=True)
    truth.mkdir(parents=True, exist_ok=True)
    ids = scene.instance_ids
    labels = Image.fromarray((ids // 1000 * (ids >= 1000) + ids * (ids < 1000)).astype("uint8"))
    Image.fromarray(scene.rgb).save(photo / f"{scene.image_id}_leftImg8bit.png", compress_level=PNG_LEVEL)
    Image.fromarray(ids).save(truth / f"{scene.image_id}_gtFine_instanceIds.png", compress_level=PNG_LEVEL)
    labels.save(truth / f"{scene.image_id}_gtFine_labelIds.png", compress_level=PNG_LEVEL)


def publish(parts: Path, root: Path, split: str, count: int) -> None:
    """Move finished folders into place, one process at a time, and write the marker last."""
    with open(root / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if images_kept(root, split) >= count:
            return  # another process was faster
        marker(root, split).unlink(missing_ok=True)
        for kind in KINDS:
            (root / kind).mkdir(exist_ok=True)
            target = root / kind / split
            with suppress(FileNotFoundError):
                target.rename(parts / f"old-{kind}")
            (parts / kind / split).rename(target)
        note = parts / "complete.json"
        note.write_text(json.dumps({"split": split, "images": count, "version": VERSION}) + "\n")
        note.replace(marker(root, split))
