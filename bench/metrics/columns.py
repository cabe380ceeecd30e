"""Columns of image lines: the segments and shared pixels of many images as arrays, from which metrics are computed.

Segments of all images stand one below another. Those of an image follow a row for its void, so that dense id i of an
image is row i after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError, error_context
from bench.metrics.semantic import validated_rows
from bench.overlap import Overlap
from bench.types import Categories

Lines = Iterable[Mapping[str, Any]]
Ints = NDArray[np.int64]
Cells = NDArray[np.int64]  # (n, 4): image, index of the truth's class and of the predicted one (void is C), pixels
# Categories of void. They differ from each other, so that void pairs with nothing.
TRUTH_VOID, PREDICTED_VOID = -1, -2
NO_SEGMENTS = "has no instances in its ground truth, so there are no segments to explain; --confusion needs none"


class TruthColumns(NamedTuple):
    """Truth segments. `declared_area` is the counted one where the JSON has none; float64 if one has a fraction."""

    image: Ints
    category_id: Ints
    area: Ints
    declared_area: NDArray[Any]
    iscrowd: NDArray[np.bool_]


class PredictedColumns(NamedTuple):
    """Predicted segments; a score is NaN if there is none."""

    image: Ints
    category_id: Ints
    area: Ints
    score: NDArray[np.float64]


class PairColumns(NamedTuple):
    """Pixels that two segments share; `truth` and `predicted` are rows of the columns of segments."""

    truth: Ints
    predicted: Ints
    pixels: Ints


class BoundaryColumns(NamedTuple):
    """Boundary pixels of each row of truth segments, predicted segments and pairs; empty without boundaries."""

    truth: Ints
    predicted: Ints
    pairs: Ints


@dataclass(frozen=True, eq=False)
class Columns:
    """Overlaps, boundaries and semantic maps of images in the order of their lines; `has_*` are (N,) bool."""

    image_ids: tuple[str, ...]
    groups: tuple[str, ...]
    has_overlap: NDArray[np.bool_]
    has_semantic: NDArray[np.bool_]
    has_boundary: NDArray[np.bool_]
    truth: TruthColumns
    predicted: PredictedColumns
    pairs: PairColumns
    boundary: BoundaryColumns
    semantic: Cells

    @classmethod
    def of(cls, lines: Lines, categories: Categories) -> Columns:
        """Build from image lines. Raise DataError, naming the image, if a line is broken."""
        parts = [cls.of_line(line, categories) for line in lines] or [EMPTY]
        tables = {name: _below([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__}
        sizes = [(len(p.truth.area), len(p.predicted.area), len(p.pairs.pixels), len(p.semantic)) for p in parts]
        truth, predicted, pairs, cells = np.array(sizes).T
        images, first_truth, first_predicted = (
            np.arange(len(parts)),
            truth.cumsum() - truth,
            predicted.cumsum() - predicted,
        )
        tables["truth"] = tables["truth"]._replace(image=np.repeat(images, truth))
        tables["predicted"] = tables["predicted"]._replace(image=np.repeat(images, predicted))
        tables["pairs"] = PairColumns(
            tables["pairs"].truth + np.repeat(first_truth, pairs),
            tables["pairs"].predicted + np.repeat(first_predicted, pairs),
            tables["pairs"].pixels,
        )
        tables["semantic"][:, 0] = np.repeat(images, cells)
        return cls(**tables)

    @classmethod
    def of_line(cls, line: Mapping[str, Any], categories: Categories) -> Columns:
        with error_context(f"image {line.get('image_id')!r}"):
            overlap = None if line.get("overlap") is None else overlap_of(line)
            rows, stored = line.get("semantic"), line.get("boundary")
            cells = NO_CELLS
            if rows is not None:
                found = validated_rows(rows, len(categories))
                cells = np.zeros((len(found), 4), np.int64)
                cells[:, 1:] = found
            boundary = NO_BOUNDARY if stored is None or overlap is None else _boundary(stored, overlap)
        has = [NO if part is None else YES for part in (overlap, rows, stored)]
        image_id, group = (str(line.get(name)) for name in ("image_id", "group"))
        segments = _segments(overlap)
        return cls((image_id,), (group,), has[0], has[1], has[2], *segments, boundary, cells)

    @classmethod
    def of_overlap(cls, overlap: Overlap) -> Columns:
        return cls(("",), ("",), YES, NO, NO, *_segments(overlap), NO_BOUNDARY, NO_CELLS)

    @cached_property
    def on_void(self) -> NDArray[np.bool_]:
        """Whether the truth of a pair is void: (n,)."""
        return self.truth.category_id[self.pairs.truth] < 0

    @cached_property
    def same(self) -> NDArray[np.bool_]:
        """Whether the segments of a pair have one category, crowds included: (n,)."""
        i, j, _ = self.pairs
        found: NDArray[np.bool_] = self.truth.category_id[i] == self.predicted.category_id[j]
        return found

    @cached_property
    def void_pixels(self) -> Ints:
        """Pixels of each predicted segment on void of the truth: (P,)."""
        return self.predicted_pixels(self.on_void)

    def predicted_pixels(self, rows: NDArray[np.bool_]) -> Ints:
        """Return the pixels of each predicted segment in the selected pairs: (P,)."""
        return counted(self.pairs.predicted[rows], self.pairs.pixels[rows], len(self.predicted.area))

    @cached_property
    def image_px(self) -> Ints:
        """Pixels of each image: (N,)."""
        return counted(self.truth.image[self.pairs.truth], self.pairs.pixels, len(self.image_ids))

    def class_indices(self, categories: Categories) -> tuple[Ints, Ints]:
        """Return the index of each segment's category, (T,) and (P,); C for void and unknown predicted categories.

        Raise DataError for an unknown category of the truth.
        """
        void = len(categories)
        truth, predicted = (
            np.array([categories.index_of.get(c, void) for c in side.category_id.tolist()], dtype=np.int64)
            for side in (self.truth, self.predicted)
        )
        unknown = np.flatnonzero((truth == void) & (self.truth.category_id >= 0))
        if len(unknown):
            image, category_id = self.image_ids[self.truth.image[unknown[0]]], self.truth.category_id[unknown[0]]
            raise DataError(
                f"image {image!r}: category {category_id} of the ground truth is not among those of the data set"
            )
        return truth, predicted

    def panoptic_cells(self, categories: Categories) -> Cells:
        """Return the confusion of the panoptic maps as semantic maps, a cell for each pair of segments."""
        truth, predicted = self.class_indices(categories)
        i, j, pixels = self.pairs
        return np.stack([self.truth.image[i], truth[i], predicted[j], pixels], axis=1)

    def require(self, part: str, message: str) -> None:
        """Raise DataError, naming the first image without a part ("overlap", "boundary")."""
        has = getattr(self, f"has_{part}")
        if not has.all():
            raise DataError(f"image {self.image_ids[has.argmin()]!r}: {message}")


def counted(places: Ints, pixels: Ints, length: int) -> Ints:
    """Return the pixels of each place: (length,)."""
    # Weighted bincount adds doubles, which are exact here: an image has fewer than 2^53 pixels.
    return np.bincount(places, pixels, length).astype(np.int64)


def overlap_of(line: Mapping[str, Any]) -> Overlap:
    """Return the overlap of a line that has one, decoded if it is stored JSON."""
    found = line["overlap"]
    return found if isinstance(found, Overlap) else Overlap.from_json(found)


def _segments(overlap: Overlap | None) -> tuple[TruthColumns, PredictedColumns, PairColumns]:
    """Return the columns of one image, without a row if it has no overlap."""
    if overlap is None:
        rows = np.zeros(0, np.int64)
        truth = TruthColumns(rows, rows, rows, rows, rows.astype(bool))
        return truth, PredictedColumns(rows, rows, rows, rows.astype(float)), PairColumns(rows, rows, rows)
    listed, made = overlap.truth, overlap.predicted
    return (
        TruthColumns(
            np.zeros(len(listed) + 1, np.int64),
            np.array([TRUTH_VOID, *[s.category_id for s in listed]]),
            np.array([0, *[s.area for s in listed]]),
            np.array([0, *[s.area if s.declared_area is None else s.declared_area for s in listed]]),
            np.array([False, *[s.iscrowd for s in listed]]),
        ),
        PredictedColumns(
            np.zeros(len(made) + 1, np.int64),
            np.array([PREDICTED_VOID, *[s.category_id for s in made]]),
            np.array([0, *[s.area for s in made]]),
            np.array([None, *[s.score for s in made]], dtype=np.float64),
        ),
        PairColumns(*overlap.table.T),
    )


def _boundary(stored: Mapping[str, Any], overlap: Overlap) -> BoundaryColumns:
    """Return the boundary pixels of one image, in the order of its segments and pairs."""
    try:
        # Segments of the truth without pixels come last and have no boundary.
        truth = [0, *stored["truth"], *[0] * (len(overlap.truth) - len(stored["truth"]))]
        predicted = [0, *stored["predicted"]]
        pixels = {(i, j): n for i, j, n in stored["pairs"]}
        pairs = [pixels.get((i, j), 0) for i, j, _ in overlap.table.tolist()]
        found = BoundaryColumns(*(np.array(column, dtype=np.int64) for column in (truth, predicted, pairs)))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"not stored boundaries ({error!r:.100}); repeat the run with --overwrite") from None
    if (len(truth), len(predicted)) != (len(overlap.truth) + 1, len(overlap.predicted) + 1):
        raise DataError("the boundaries are not those of its segments; repeat the run with --overwrite")
    return found


def _below(parts: Sequence[Any]) -> Any:
    """Return tuples, arrays or named tuples of arrays, one below another."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    if isinstance(parts[0], TABLES):
        return type(parts[0])(*map(np.concatenate, zip(*parts, strict=True)))
    return tuple(chain.from_iterable(parts))


TABLES = (TruthColumns, PredictedColumns, PairColumns, BoundaryColumns)
YES, NO = np.ones(1, dtype=bool), np.zeros(1, dtype=bool)
NO_BOUNDARY = BoundaryColumns(*_segments(None)[2])
NO_CELLS = np.zeros((0, 4), np.int64)
EMPTY = Columns((), (), YES[:0], YES[:0], YES[:0], *_segments(None), NO_BOUNDARY, NO_CELLS)
