"""A run on disk: reading it.

results/<dataset>/<model>/<hash>/
    run.json              first: settings and provenance
    images-0-of-1.jsonl   one line per image, appended; a torn last line is dropped on resume
    timings-0-of-1.jsonl  seconds per stage; not part of the checksum
    image_ids.json        of a sharded run, until its files (images-0-of-4.jsonl ...) are merged: all images, in order
    predictions/          COCO panoptic PNG and JSON
    done.json             last, by rename; a run is complete when it exists
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from bench.errors import DataError, PartialRun, error_context
from bench.io import json_schema
from bench.io.files import RERUN_HINT, read_json, read_lines
from bench.metrics.semantic import Rule
from bench.results import schema
from bench.results.shards import WHOLE
from bench.types import Categories, Category

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A run on disk; image lines are read on demand. `reused` is True if the run was complete when it was requested."""

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
        """Categories that the run was scored on, with their colors."""
        listed = self.meta["dataset"]["categories"]
        with error_context(self.folder / "run.json"):
            return Categories(tuple(Category(c["id"], c["name"], c["isthing"], tuple(c["color"])) for c in listed))

    @property
    def complete(self) -> Mapping[str, Any]:
        """Content of done.json. Raises PartialRun if the run is not complete."""
        if self.done is None:
            raise PartialRun(f"{self.folder}: this run is not complete; repeat its command to resume it")
        return self.done

    @cached_property
    def score(self) -> Mapping[str, Any]:
        """Metrics of the whole run, from done.json. Raises PartialRun if the run is not complete."""
        score: Mapping[str, Any] = self.complete["score"]
        return score

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the image lines; of an incomplete run, those of all its shards so far."""
        return self._all("images")

    def timings(self) -> Iterator[dict[str, Any]]:
        """Yield the seconds per stage, one line per image."""
        return self._all("timings")

    def _all(self, kind: str) -> Iterator[dict[str, Any]]:
        whole = self.folder / f"{kind}-{WHOLE.name}.jsonl"
        for path in [whole] if self.done is not None else sorted(self.folder.glob(f"{kind}-*.jsonl")):
            yield from read_lines(path)


def read_run(folder: Path) -> Run:
    """Read the run in a folder, or the only run below it. Raises DataError for no run, several runs or a broken one."""
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
        raise DataError(f"{folder / 'run.json'}: not a run of this version (format {FORMAT}); {RERUN_HINT}")
    _check(folder / "run.json", meta, schema.META)
    _check(folder / "run.json", meta, {key: inner for key, inner in schema.DESCRIBED.items() if key in meta})
    done = read_json(folder / "done.json") if (folder / "done.json").exists() else None
    if done is not None:
        _check(folder / "done.json", done, schema.DONE)
        more = {key: inner for key, inner in schema.SCORED_TOO.items() if key in done["score"]}
        _check(folder / "done.json", done, {"score": more})
    return Run(folder, meta, done)


def _check(path: Path, value: Any, wanted: Any) -> None:
    try:
        json_schema.validate(value, wanted)
    except json_schema.SchemaError as error:
        raise DataError(f"{path}: {error}; {RERUN_HINT}, or copy its folder anew") from None


def read_runs(root: Path) -> list[Run]:
    """Return every complete run below a folder, in path order."""
    return [read_run(path.parent) for path in sorted(root.glob("**/run.json")) if (path.parent / "done.json").exists()]


def semantic_rule(run: Run) -> Rule:
    """Return the mIoU rule of a run. Raises DataError if run.json has none."""
    found = run.meta.get("rules")
    if not isinstance(found, Mapping) or found.get("semantic_rule") not in get_args(Rule):
        raise DataError(f"{run.folder / 'run.json'}: tells no rule of mIoU; repeat the run with --overwrite")
    rule: Rule = found["semantic_rule"]
    return rule
