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

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from bench.errors import DataError, PartialRun, UsageError, error_context
from bench.io.config import read_record
from bench.io.files import RERUN_HINT, read_lines
from bench.metrics.score import Score
from bench.metrics.semantic import Rule
from bench.results.columns import StoredLines, read_columns, to_frame
from bench.results.records import Done, RunMetadata
from bench.results.shards import WHOLE
from bench.types import Categories

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
KINDS = ("semantic", "panoptic")
Rows = Literal["classes", "truth", "predicted", "pairs"]
REMEDY = f"{RERUN_HINT}, or copy its folder again"
CANDIDATES = 12  # runs listed in the message on an ambiguous name


@dataclass(frozen=True)
class Run:
    """A run on disk; image lines are read on demand. `reused` is True if the run was complete when it was requested."""

    folder: Path
    meta: RunMetadata
    done: Done | None
    reused: bool = False

    @property
    def name(self) -> str:
        return self.meta.name

    @property
    def dataset(self) -> str:
        """Data set and split, and the corruption of its pictures: `minicity:val`, `minicity:val fog:3`."""
        found = self.meta.dataset
        return f"{found.name}:{found.split}{f' {found.corruption}' if found.corruption else ''}"

    @cached_property
    def categories(self) -> Categories:
        """Categories that the run was scored on, with their colors."""
        with error_context(self.folder / "run.json"):
            return Categories(self.meta.dataset.categories)

    @property
    def semantic_rule(self) -> Rule:
        """Rule of mIoU. Raises DataError if run.json has none."""
        rule = self.meta.rules.get("semantic_rule")
        if rule not in get_args(Rule):
            raise DataError(f"{self.folder / 'run.json'}: unknown rule of mIoU (`semantic_rule`); {RERUN_HINT}")
        return cast(Rule, rule)

    @property
    def complete(self) -> Done:
        """Content of done.json. Raises PartialRun if the run is not complete."""
        if self.done is None:
            raise PartialRun(f"{self.folder}: this run is not complete; repeat its command to resume it")
        return self.done

    @property
    def score(self) -> Score:
        """Metrics of the whole run. Raises PartialRun if the run is not complete."""
        return self.complete.score

    @cached_property
    def stored(self) -> StoredLines:
        """Columns of the image lines, and their checksum. Raises PartialRun, or DataError if a line is broken."""
        _ = self.complete
        with error_context(self.folder):
            return read_columns(self.folder / f"images-{WHOLE.name}.jsonl", self.categories)

    def to_frame(self, rows: Rows = "classes") -> pd.DataFrame:
        """Return a pandas frame, a row a class in the order of the label space; fractions, NaN if undefined.

        Columns: category_id, name, isthing, PQ, SQ, RQ, TP, FP, FN, IoU_semantic, IoU_panoptic. With other `rows`, the
        segments of all images or the pixels that they share, see `bench.results.columns.to_frame`.
        """
        import pandas as pd  # imported here, since it takes half a second

        if rows != "classes":
            return to_frame(self.stored.columns, rows)

        ious = {f"IoU_{kind}": [getattr(row.IoU, kind) for row in self.score.per_class] for kind in KINDS}
        frame = pd.DataFrame(list(map(vars, self.score.per_class))).drop(columns="IoU").assign(**ious)
        return frame.astype(dict.fromkeys(("PQ", "SQ", "RQ", *ious), float))

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the image lines; of an incomplete run, those of all its shards so far."""
        return self._all("images")

    def timings(self) -> Iterator[dict[str, Any]]:
        """Yield the seconds per stage, one line per image."""
        return self._all("timings")

    def _all(self, kind: str) -> Iterator[dict[str, Any]]:
        # Until it is complete, a run may consist of several shards.
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
            some = ", ".join([*(str(path.parent) for path in below[:3]), *(["…"] if len(below) > 3 else [])])
            raise DataError(f"{folder}: {len(below)} runs here ({some}); name one")
        folder = below[0].parent
    meta = read_record(folder / "run.json", RunMetadata, REMEDY)
    done = read_record(folder / "done.json", Done, REMEDY) if (folder / "done.json").exists() else None
    return Run(folder, meta, done)


def find_run(asked: str, results: Path) -> Run:
    """Return the run of a folder (see `read_run`), or the only run below `results` with that name or hash.

    The beginning of `<data set>/<name>/<hash>`, of the name or of the hash is enough; a whole name or hash comes first.
    Raises UsageError, with the candidates, if several runs fit.
    """
    folders = [] if Path(asked).exists() else [path.parent for path in sorted(results.glob("**/run.json"))]
    called = {folder: ("/".join(folder.parts[-3:]), folder.parent.name, folder.name) for folder in folders}
    # A whole name wins, since it may be the beginning of another one: mask2former, mask2former-tiny.
    whole = [folder for folder, names in called.items() if asked in names]
    found = whole or [folder for folder, names in called.items() if any(name.startswith(asked) for name in names)]
    if len(found) > 1:
        listed = "\n".join(f"  {folder}" for folder in found[:CANDIDATES])
        more = f"\n  and {len(found) - CANDIDATES} more" if len(found) > CANDIDATES else ""
        raise UsageError(f"{asked}: the name fits {len(found)} runs; name one by its hash or folder:\n{listed}{more}")
    return read_run(found[0] if found else Path(asked))


def read_runs(root: Path) -> list[Run]:
    """Return every complete run below a folder, in path order."""
    return [read_run(path.parent) for path in sorted(root.glob("**/run.json")) if (path.parent / "done.json").exists()]


def labels(runs: Sequence[Run]) -> list[str]:
    """Return the runs' names, with the checkpoint, then the folder, added to names that are not unique."""
    names = [run.name for run in runs]
    longer = [f"{run.name} {getattr(run.meta.model, 'checkpoint', '')}".strip() for run in runs]
    names = [long if Counter(names)[name] > 1 else name for name, long in zip(names, longer, strict=True)]
    folders = [f"{name} {run.folder.name}" for name, run in zip(names, runs, strict=True)]
    return [folder if Counter(names)[name] > 1 else name for name, folder in zip(names, folders, strict=True)]
