"""A run on disk: opened, appended to, resumed, finished, read.

results/<dataset>/<model>/<hash>/
    run.json              first: what was asked, and where it was computed
    images-0-of-1.jsonl   a line an image, appended; a torn last line is dropped on resume
    timings-0-of-1.jsonl  seconds a stage; outside the hash
    image_ids.json        of a sharded run, until its files (images-0-of-4.jsonl ...) are merged: all images, in order
    predictions/          COCO panoptic PNG and JSON
    done.json             last, by rename; a run is complete when it exists
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from bench import shape, untrusted
from bench.errors import DataError, PartialRun, naming
from bench.ledger import Line, lines_digest, spelled
from bench.shards import WHOLE, Shard
from bench.types import Categories, Category

FORMAT = 1
AGAIN = "repeat the run with --overwrite"

Seen = Callable[[Line], None]


def write_json(path: Path, value: Any) -> None:
    """The value at `path`, complete or not there at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")  # two shards may start at once
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:  # that of a full disk names no file
        with suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None


def read_json(path: Path) -> Any:
    """What the file holds; a broken one is a DataError that names it."""
    try:
        return untrusted.parse_json(untrusted.read_bytes(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {AGAIN}, or copy its folder anew") from None


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The complete lines of a JSONL file; a last line without its newline was torn by a kill."""
    if not path.exists():
        return
    try:
        for number, text in enumerate(untrusted.lines_of(path), 1):
            if not text.endswith(b"\n"):
                return
            yield _parsed(text, f"{path}: line {number}")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); {AGAIN}") from None


def _parsed(text: bytes, where: str) -> dict[str, Any]:
    try:
        line = untrusted.parse_json(text)
        shape.check(line, shape.LINE)
    except ValueError as error:
        raise DataError(f"{where} is broken ({error}); {AGAIN}") from None
    found: dict[str, Any] = line
    return found


def open_append(path: Path) -> IO[str]:
    """Ready to append after the last complete line."""
    if path.is_symlink():
        raise DataError(f"{path}: is a link, and what it leads to would be written into; {AGAIN}")
    if path.exists():
        untrusted.check_regular(path)
        content = path.read_bytes()
        keep = content.rfind(b"\n") + 1
        if keep < len(content):
            os.truncate(path, keep)
    return path.open("a", encoding="utf-8")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _lock(stream: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise PartialRun(f"{folder}: another process writes this run; wait for it or stop it") from None


def _empty(folder: Path, shard: Shard) -> None:
    """All but the lock, or what one shard wrote; done.json first, since it vouches for the rest."""
    (folder / "done.json").unlink(missing_ok=True)
    own = [path for name in (shard.name, WHOLE.name) for path in folder.glob(f"*-{name}.jsonl")]  # merged lines, too
    for path in folder.iterdir() if shard == WHOLE else own:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()


class RunWriter:
    """The one writer of a run's folder; a second one is refused while this one lives.

    `fresh` throws away what an earlier run left there. Shards of one run write side by side, each its own files.
    `seen` is told of every line that is there already.
    """

    def __init__(
        self,
        folder: Path,
        meta: Mapping[str, Any],
        *,
        shard: Shard = WHOLE,
        fresh: bool = False,
        seen: Seen = lambda line: None,
    ) -> None:
        self.folder = folder
        self.done: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            lock = ".lock" if shard == WHOLE else f".lock-{shard.name}"
            self._lock = opened.enter_context((folder / lock).open("w"))
            _lock(self._lock, folder)
            if fresh:
                _empty(folder, shard)
            if not (folder / "run.json").exists():
                write_json(folder / "run.json", {"format": FORMAT, "created": _now(), **meta})
            images = folder / f"images-{shard.name}.jsonl"
            with naming(images):
                for line in read_lines(images):
                    self.done.add(str(line["image_id"]))
                    seen(line)
            self._images = opened.enter_context(open_append(images))
            self._timings = opened.enter_context(open_append(folder / f"timings-{shard.name}.jsonl"))
            opened.pop_all()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *error: object) -> None:
        for stream in (self._images, self._timings, self._lock):
            with suppress(OSError):  # every line was flushed: closing a full disk's file has no news
                stream.close()

    def tell(self, name: str, value: Any) -> None:
        """A fact for run.json that only the work brings to light; one that is told there already stays."""
        path = self.folder / "run.json"
        meta = read_json(path)
        if meta.get(name) is None and value is not None:
            write_json(path, {**meta, name: value})

    def append(self, image_id: str, text: str, timing: Mapping[str, float]) -> bool:
        """One image and its line as `spelled` has it, in one write. An image that is there already is not written
        twice, and False says so."""
        if image_id in self.done:
            return False
        self._timings.write(spelled({"image_id": image_id, "seconds": timing}) + "\n")
        self._timings.flush()
        self._images.write(text + "\n")
        self._images.flush()
        self.done.add(image_id)
        return True

    def finish(self, score: Mapping[str, Any], key: Mapping[str, Any], images_sha256: str | None = None) -> None:
        """Totals, checksum and comparability key; the run is complete after this. Who has read the lines anyway knows
        their digest."""
        done = {
            "finished": _now(),
            "images_sha256": images_sha256 or lines_digest(read_lines(self.folder / "images-0-of-1.jsonl")),
            "key": dict(key),
            "score": dict(score),
        }
        write_json(self.folder / "done.json", done)


@dataclass(frozen=True)
class Run:
    """A run on disk; its image lines are read when asked for. `reused`: it was finished before it was asked for."""

    folder: Path
    meta: Mapping[str, Any]
    done: Mapping[str, Any] | None
    reused: bool = False

    @property
    def name(self) -> str:
        return str(self.meta["name"])

    @property
    def dataset(self) -> str:
        return f"{self.meta['dataset']['name']}:{self.meta['dataset']['split']}"

    @cached_property
    def categories(self) -> Categories:
        """The space that it was scored in, with its colours."""
        listed = self.meta["dataset"]["categories"]
        with naming(self.folder / "run.json"):
            return Categories(tuple(Category(c["id"], c["name"], c["isthing"], tuple(c["color"])) for c in listed))

    @property
    def complete(self) -> Mapping[str, Any]:
        """What done.json says; PartialRun where it is not there."""
        if self.done is None:
            raise PartialRun(f"{self.folder}: this run is not complete; repeat its command to resume it")
        return self.done

    @cached_property
    def score(self) -> Mapping[str, Any]:
        """The totals; a run that is not complete has none."""
        score: Mapping[str, Any] = self.complete["score"]
        return score

    def lines(self) -> Iterator[dict[str, Any]]:
        """The image lines; of a run that is not complete, those of all its shards so far."""
        return self._all("images")

    def timings(self) -> Iterator[dict[str, Any]]:
        """The seconds of each stage, a line an image, of the same files as the image lines."""
        return self._all("timings")

    def _all(self, kind: str) -> Iterator[dict[str, Any]]:
        whole = self.folder / f"{kind}-{WHOLE.name}.jsonl"
        for path in [whole] if self.done is not None else sorted(self.folder.glob(f"{kind}-*.jsonl")):
            yield from read_lines(path)


def read_run(folder: Path) -> Run:
    """The run in a folder, or the only one below it."""
    if not (folder / "run.json").is_file():
        below = sorted(folder.glob("**/run.json")) if folder.is_dir() else []
        if not below:
            raise DataError(f"{folder}: no run here (no run.json); `bench leaderboard` lists the runs below results/")
        if len(below) > 1:
            some = ", ".join(str(path.parent) for path in below[:3])
            raise DataError(f"{folder}: {len(below)} runs here ({some} ...); name one")
        folder = below[0].parent
    meta = read_json(folder / "run.json")
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise DataError(f"{folder / 'run.json'}: not a run of this version (format {FORMAT}); {AGAIN}")
    _check(folder / "run.json", meta, shape.META)
    _check(folder / "run.json", meta, {key: inner for key, inner in shape.DESCRIBED.items() if key in meta})
    done = read_json(folder / "done.json") if (folder / "done.json").exists() else None
    if done is not None:
        _check(folder / "done.json", done, shape.DONE)
        more = {key: inner for key, inner in shape.SCORED_TOO.items() if key in done["score"]}
        _check(folder / "done.json", done, {"score": more})
    return Run(folder, meta, done)


def _check(path: Path, value: Any, wanted: Any) -> None:
    try:
        shape.check(value, wanted)
    except shape.Misshapen as error:
        raise DataError(f"{path}: {error}; {AGAIN}, or copy its folder anew") from None


def read_runs(root: Path) -> list[Run]:
    """Every complete run below a folder, in path order."""
    return [read_run(path.parent) for path in sorted(root.glob("**/run.json")) if (path.parent / "done.json").exists()]
