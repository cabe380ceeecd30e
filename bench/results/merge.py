"""Merges the shards of a run. Lines are joined by image id, so the result does not depend on the number of shards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.errors import DataError, PartialRun
from bench.io.canonical_json import canonical_json, digest
from bench.io.files import read_json, read_lines, write_atomic
from bench.results.accumulator import RunAccumulator
from bench.results.prediction_writer import PredictionWriter
from bench.results.run import Run, read_run
from bench.results.shards import WHOLE
from bench.results.writer import RunWriter

# Keys of run.json in which shards of one run agree.
SAME = ("name", "dataset", "rules", "code", "batch_size", "label_map", "metrics", "device_kind", "identity")


Found = tuple[Path, str]  # file and text of a stored line


def merge(folders: Sequence[Path]) -> Run:
    """Merge the shards in these folders into the first folder, and return the completed run.

    Raises PartialRun if an image is missing, and DataError if two files have a line for it; both name the image.
    If the run in the first folder is complete already, it is returned unchanged.
    """
    runs = [read_run(folder) for folder in folders]
    first = runs[0]
    if first.done is not None:
        return first
    for other in runs[1:]:
        _demand_same(first, other)
    order = _order(runs)
    lines = _united(runs, "images")
    _demand_all(first.folder, order, lines)
    accumulator = RunAccumulator(first.categories, first.meta.rules, first.meta.metrics)
    with RunWriter(first.folder, _stored(first)) as writer:
        _write(writer.folder / f"images-{WHOLE.name}.jsonl", order, lines)
        _write(writer.folder / f"timings-{WHOLE.name}.jsonl", order, _united(runs, "timings"))
        _merge_predictions(runs, order)
        for line in read_lines(writer.folder / f"images-{WHOLE.name}.jsonl"):
            accumulator.add_stored(line)
        accumulator.complete(writer, order)
    # After done.json: an interrupted merge finds all shards again.
    _clear(first.folder)
    return read_run(first.folder)


def _demand_same(first: Run, other: Run) -> None:
    ours, theirs = _stored(first), _stored(other)
    differing = [key for key in SAME if ours.get(key) != theirs.get(key)]
    # `source` may be a local path, which differs between machines; the digest of the weights is compared.
    if {**ours["model"], "source": None} != {**theirs["model"], "source": None}:
        differing.append("model")
    if differing:
        raise DataError(
            f"{first.folder} and {other.folder} are not shards of one run: they differ in {', '.join(differing)}"
        )


def _stored(run: Run) -> dict[str, Any]:
    """Return run.json with all of its keys."""
    stored: dict[str, Any] = read_json(run.folder / "run.json")
    return stored


def _order(runs: Sequence[Run]) -> list[str]:
    """Return the image ids of the data set in its order, from the image_ids.json of any finished shard."""
    for run in runs:
        if (run.folder / "image_ids.json").is_file():
            order = [str(image_id) for image_id in read_json(run.folder / "image_ids.json")]
            if digest(order)[:16] == run.meta.dataset.image_ids:
                return order
            raise DataError(
                f"{run.folder / 'image_ids.json'}: belongs to another run; repeat a shard to write it again"
            )
    raise PartialRun(f"{runs[0].folder}: no shard has finished here; `bench run --shard 0/2` writes one of two")


def _united(runs: Sequence[Run], kind: str) -> dict[str, Found]:
    """Return image id → line over all files of a kind. Raise DataError if two shards have an image."""
    found: dict[str, Found] = {}
    for file in _files(runs, kind):
        for line in read_lines(file):
            image_id, text = str(line["image_id"]), canonical_json(line)
            first, stored = found.setdefault(image_id, (file, text))
            # A merge that was interrupted leaves the joined file beside the shards: its equal lines are no duplicates.
            merged_before = WHOLE.name in first.name and first.parent == file.parent
            if first != file and not (merged_before and stored == text) and kind == "images":
                raise DataError(f"image {image_id!r} is in {first} and in {file}; remove one of the two shards")
    return found


def _files(runs: Sequence[Run], kind: str) -> Iterator[Path]:
    # A file of the whole run comes first, see `_united`.
    for folder in dict.fromkeys(run.folder.resolve() for run in runs):
        yield from sorted(folder.glob(f"{kind}-*.jsonl"), key=lambda file: (WHOLE.name not in file.name, file.name))


def _demand_all(folder: Path, order: Sequence[str], lines: dict[str, Found]) -> None:
    missing = [image_id for image_id in order if image_id not in lines]
    if missing:
        more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
        raise PartialRun(f"{folder}: image {missing[0]!r}{more} in no shard; run or resume the shard, then merge")
    strange = sorted(set(lines) - set(order))
    if strange:
        raise DataError(f"{lines[strange[0]][0]}: image {strange[0]!r} is not in the data set; remove this file")


def _write(path: Path, order: Sequence[str], lines: dict[str, Found]) -> None:
    with write_atomic(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.writelines(lines[image_id][1] + "\n" for image_id in order if image_id in lines)


def _merge_predictions(runs: Sequence[Run], order: Sequence[str]) -> None:
    """Copy saved predictions of all folders into the first, and write their COCO file; do nothing if there are none."""
    target = runs[0].folder / "predictions"
    for run in runs[1:]:
        if (run.folder / "predictions").is_dir() and run.folder.resolve() != runs[0].folder.resolve():
            shutil.copytree(run.folder / "predictions", target, dirs_exist_ok=True)
    if target.is_dir():
        with PredictionWriter(target) as predictions:
            predictions.finish(order, runs[0].categories)


def _clear(folder: Path) -> None:
    for pattern in ("images-*.jsonl", "timings-*.jsonl", ".lock-*", "image_ids.json", "inputs.json"):
        for path in folder.glob(pattern):
            if WHOLE.name not in path.name:
                path.unlink()
