"""Audit of a label map: covered, lost and gained pixels, unreachable classes, score ceiling. Stored beside a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.datasets.dataset import Dataset
from bench.datasets.label_map_files import map_digest
from bench.datasets.label_maps import LabelMap, remap, remap_semantic, void_id
from bench.errors import UsageError
from bench.io.canonical_json import digest
from bench.io.config import read_record
from bench.io.files import write_json
from bench.metrics import semantic
from bench.metrics.score import Score, score
from bench.parallel import ordered_map
from bench.results.image_line import image_line
from bench.results.run import Run
from bench.types import Categories, Panoptic, Prediction, ProgressCallback, Sample

Cells = NDArray[np.int64]  # (S + 1, T + 1) pixels; base's classes down, mapped truth across, void last
Line = dict[str, Any]


@dataclass(frozen=True, eq=False)
class MapAudit:
    """Result of `audit_map`.

    `base` are the classes of the data set without the map. `ceiling` is the score of a model that predicts all of these
    perfectly, after mapping, against the mapped ground truth.
    """

    dataset: str
    labels: LabelMap
    base: Categories
    cells: Cells
    ceiling: Score

    def to_json(self) -> dict[str, Any]:
        """Return pixel counts, classes by name, and the ceiling as fractions."""
        names = self.labels.names
        reachable = {names[category.name] for category in self.base}
        return {
            "dataset": self.dataset,
            "images": self.ceiling.images,
            "sha256": map_digest(self.labels),
            # Last row and column are void: `lost` pixels were valid and became void, `gained` ones were void before.
            "pixels": {
                "all": int(self.cells.sum()),
                "covered": int(self.cells[:, :-1].sum()),
                "lost": int(self.cells[:-1, -1].sum()),
                "gained": int(self.cells[-1, :-1].sum()),
            },
            "classes": [
                {
                    "name": c.name,
                    "pixels": int(self.cells[:, k].sum()),
                    "from": [source for source, to in names.items() if to == c.name],
                }
                for k, c in enumerate(self.labels.target)
            ],
            "to_void": {c.name: int(self.cells[k].sum()) for k, c in enumerate(self.base) if names[c.name] is None},
            "unreachable": [c.name for c in self.labels.target if c.name not in reachable],
            "ceiling": {"PQ": self.ceiling.PQ.all.PQ, "mIoU": self.ceiling.mIoU.semantic},
        }


def audit_map(
    derived: Dataset, base: Dataset, *, workers: int = 2, on_image: ProgressCallback | None = None
) -> MapAudit:
    """Compare the ground truth of every image in the classes of `base` with the mapped one of `derived`.

    Raises UsageError if the labels of `derived` are not mapped.
    """
    if derived.labels is None:
        raise UsageError(f"{derived.name}: has no label map; name a data set that is derived from another")
    cells = np.zeros((len(base.categories) + 1, len(derived.categories) + 1), dtype=np.int64)
    work = partial(_compared, categories=derived.categories, known=base.categories, labels=derived.labels)
    pairs = list(zip(base.samples, derived.samples, strict=True))

    def lines() -> Iterator[Line]:
        for done, (line, counted) in enumerate(ordered_map(work, pairs, workers), 1):
            np.add(cells, counted, out=cells)
            if on_image:
                on_image(done, len(pairs))
            yield line

    ceiling = score(lines(), derived.categories, derived.semantic_rule)
    return MapAudit(f"{derived.name}:{derived.split}", derived.labels, base.categories, cells, ceiling)


def _compared(
    pair: tuple[Sample, Sample], *, categories: Categories, known: Categories, labels: LabelMap
) -> tuple[Line, Cells]:
    """Return the image line of the base's mapped truth as a prediction, and the pixels of every pair of classes."""
    base, derived = pair
    ids, mapped = _semantic_ids(base, labels.source), _semantic_ids(derived, categories)
    # Semantic truth has no segments: an empty map leaves PQ undefined.
    panoptic = Panoptic(np.zeros(ids.shape, dtype=np.int32), ())
    if base.read_semantic is None:
        panoptic = remap(_without_crowds(base.read_target()), labels)
    line = image_line(derived, Prediction(panoptic, remap_semantic(ids, labels)), categories)
    return line, _cells(
        semantic.category_indices(ids, known), semantic.category_indices(mapped, categories), known, categories
    )


def _semantic_ids(sample: Sample, space: Categories) -> NDArray[np.int32]:
    """Return (H, W) category ids of the truth; crowd regions have their class, void is `void_id(space)`."""
    if sample.read_semantic is not None:
        return sample.read_semantic()
    truth = sample.read_target()
    ids = [void_id(space), *(info.category_id for info in truth.segments_info)]
    return np.array(ids, dtype=np.int32)[truth.id_map]


def _without_crowds(truth: Panoptic) -> Panoptic:
    """Return the map without crowd regions."""
    # Predictions have no crowds: their pixels would count as a false positive where the mapped class is a thing.
    kept = [i for i, info in enumerate(truth.segments_info) if not info.iscrowd]
    table = np.zeros(len(truth.segments_info) + 1, dtype=np.int32)
    table[[i + 1 for i in kept]] = np.arange(1, len(kept) + 1)
    return Panoptic(table[truth.id_map], tuple(truth.segments_info[i] for i in kept))


def _cells(rows: NDArray[np.int32], columns: NDArray[np.int32], known: Categories, categories: Categories) -> Cells:
    shape = len(known) + 1, len(categories) + 1
    # A two-dimensional histogram: row and column of a pixel as one number.
    return np.bincount((rows * shape[1] + columns).ravel(), minlength=shape[0] * shape[1]).reshape(shape)


FILE = "label_map.json"


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of the truth: `lost` were valid and became void, `gained` were void and became valid."""

    all: int
    covered: int
    lost: int
    gained: int


@dataclass(frozen=True)
class Ceiling:
    """PQ and mIoU that no prediction can exceed, as fractions."""

    PQ: float | None
    mIoU: float | None


@dataclass(frozen=True)
class StoredAudit:
    """Audit in label_map.json; `to_void` maps class → pixels."""

    sha256: str
    pixels: PixelCounts
    to_void: Mapping[str, int]
    ceiling: Ceiling


def require_same_truth(run: Run, dataset: Dataset) -> None:
    """Raise UsageError unless the run was scored on these images with this data set's label map."""
    data = run.meta.dataset
    if not (data.label_map and dataset.labels and map_digest(dataset.labels) == data.label_map.sha256):
        raise UsageError(f"{run.folder}: its ground truth was not mapped by the label map of {dataset.name}")
    if digest([sample.image_id for sample in dataset.samples])[:16] != data.image_ids:
        raise UsageError(f"{run.folder}: was scored on other images of {dataset.name}; name the split of the run")


def write_audit(audit: Mapping[str, Any], run: Run) -> Path:
    write_json(run.folder / FILE, audit)
    return run.folder / FILE


def read_audit(run: Run, sha256: str) -> StoredAudit | None:
    """Return the stored audit of the map with this digest, or None. Raises DataError if the file is malformed."""
    path = run.folder / FILE
    if not path.is_file():
        return None
    found = read_record(path, StoredAudit, "delete it, or repeat `bench data map --record`")
    return found if found.sha256 == sha256 else None
