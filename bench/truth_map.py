"""What a label map did to the truth of a run, kept beside it: a run's own lines hold the truth as mapped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import shape
from bench.config import digest
from bench.datasets.dataset import Dataset
from bench.errors import DataError, UsageError
from bench.maps import map_digest
from bench.results import Run, read_json, write_json

FILE = "label_map.json"
AUDIT = {
    "sha256": str, "pixels": dict.fromkeys(("all", "covered", "lost", "gained"), int), "to_void": {},
    "ceiling": dict.fromkeys(("PQ", "mIoU"), shape.NUMBER),
}  # fmt: skip


def demand_truth_of(run: Run, dataset: Dataset) -> None:
    """UsageError unless the run was scored on the truth of this data set, by its map and on its images."""
    data = run.meta["dataset"]
    mapped = dataset.labels is not None and map_digest(dataset.labels) == (data.get("label_map") or {}).get("sha256")
    if not mapped:
        raise UsageError(f"{run.folder}: its truth was not mapped by the label map of {dataset.name}")
    if digest([sample.image_id for sample in dataset.samples])[:16] != data.get("image_ids"):
        raise UsageError(f"{run.folder}: is of other images than these of {dataset.name}; give the split of the run")


def keep_audit(audit: Mapping[str, Any], run: Run) -> Path:
    """Writes what `MapAudit.to_json` gives into the run's folder."""
    write_json(run.folder / FILE, audit)
    return run.folder / FILE


def read_audit(run: Run, sha256: str) -> Mapping[str, Any] | None:
    """What was kept of the map with this digest; a file that tells nothing of the kind is a DataError."""
    path = run.folder / FILE
    if not path.is_file():
        return None
    try:
        found: Mapping[str, Any] = read_json(path)
        shape.check(found, AUDIT)
        for name in found["to_void"]:
            shape.check(found["to_void"], {name: int})
    except shape.Misshapen as error:
        raise DataError(f"{path}: is no audit of a label map ({error}); delete it, or make it again") from None
    return found if found["sha256"] == sha256 else None
