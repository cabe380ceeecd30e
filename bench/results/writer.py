"""RunWriter: creates, locks, appends to, resumes and finishes a run."""

from __future__ import annotations

import datetime
import fcntl
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from bench.errors import PartialRun, error_context
from bench.io.files import open_append, read_json, read_lines, write_json
from bench.results.line_digests import Line, json_line, lines_digest
from bench.results.run import FORMAT
from bench.results.shards import WHOLE, Shard

OnExistingLine = Callable[[Line], None]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _lock(folder: Path, shard: Shard) -> ExitStack:
    """Return the open locks of a run or a shard. A shard shares the lock of the whole run with other shards."""
    kinds = (
        {".lock": fcntl.LOCK_EX} if shard == WHOLE else {".lock": fcntl.LOCK_SH, f".lock-{shard.name}": fcntl.LOCK_EX}
    )
    with ExitStack() as locks:
        for name, kind in kinds.items():
            stream = locks.enter_context((folder / name).open("w"))
            try:
                # flock and not a lock file: the kernel releases it when a process is killed.
                fcntl.flock(stream, kind | fcntl.LOCK_NB)
            except OSError:
                raise PartialRun(f"{folder}: another process writes this run; wait for it or stop it") from None
        return locks.pop_all()


def _empty(folder: Path, shard: Shard) -> None:
    """Delete an earlier run, or the files of one shard."""
    # First, since it marks the run as complete: an interruption must not leave a complete run without lines.
    (folder / "done.json").unlink(missing_ok=True)
    # A shard that is computed again makes the lines of an earlier merge stale, too.
    own = [path for name in (shard.name, WHOLE.name) for path in folder.glob(f"*-{name}.jsonl")]
    for path in folder.iterdir() if shard == WHOLE else own:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()


class RunWriter:
    """Writes the folder of a run under a lock. Raises PartialRun if another process writes the same run or shard.

    `fresh` deletes what an earlier run left. Shards of one run are written in parallel, each to files of its own; while
    one is written, the run cannot be written as a whole.
    `on_existing_line` is called with every line that is stored already.
    """

    def __init__(
        self,
        folder: Path,
        meta: Mapping[str, Any],
        *,
        shard: Shard = WHOLE,
        fresh: bool = False,
        on_existing_line: OnExistingLine = lambda line: None,
    ) -> None:
        self.folder = folder
        self.done: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            opened.enter_context(_lock(folder, shard))
            if fresh:
                _empty(folder, shard)
            if not (folder / "run.json").exists():
                write_json(folder / "run.json", {"format": FORMAT, "created": _now(), **meta})
            images = folder / f"images-{shard.name}.jsonl"
            with error_context(images):
                for line in read_lines(images):
                    self.done.add(str(line["image_id"]))
                    on_existing_line(line)
            self._images = opened.enter_context(open_append(images))
            self._timings = opened.enter_context(open_append(folder / f"timings-{shard.name}.jsonl"))
            self._opened = opened.pop_all()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *error: object) -> None:
        # Every line was flushed: an error here, as of a full disk, was raised by `append` already.
        with suppress(OSError):
            self._opened.close()

    def set_metadata(self, name: str, value: Any) -> None:
        """Set a key of run.json unless it is set already or the value is empty. For values known after the start."""
        path = self.folder / "run.json"
        meta = read_json(path)
        if meta.get(name) is None and value:
            write_json(path, {**meta, name: value})

    def append(self, image_ids: Sequence[str], texts: Sequence[str], timings: Sequence[Mapping[str, float]]) -> None:
        """Append images without a line: `texts` are as written by `json_line`, `timings` seconds per stage."""
        # The timings first: resuming skips images with a line, so that a line must not come before the rest.
        for stream, lines in (
            (
                self._timings,
                [json_line({"image_id": i, "seconds": t}) for i, t in zip(image_ids, timings, strict=True)],
            ),
            (self._images, texts),
        ):
            stream.write("".join(f"{line}\n" for line in lines))
            stream.flush()
        self.done.update(image_ids)

    def discard(self) -> None:
        """Delete the lines of this run, or of its shard."""
        self._images.truncate(0)
        self.done.clear()

    def finish(self, score: Mapping[str, Any], key: Mapping[str, Any], images_sha256: str | None = None) -> None:
        """Write done.json with totals, checksum and comparability key, which completes the run.

        `images_sha256` is computed from the stored lines if None.
        """
        done = {
            "finished": _now(),
            "images_sha256": images_sha256 or lines_digest(read_lines(self.folder / "images-0-of-1.jsonl")),
            "key": dict(key),
            "score": dict(score),
        }
        write_json(self.folder / "done.json", done)
