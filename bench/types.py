"""Core data types, shared by all packages. `Categories` and `Panoptic` are validated at construction."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bench._native import optional
from bench.errors import DataError, first_duplicate

_kernel = optional("bench._native._maps", "dense")

# A semantic map is stored in 16 bits, and lookup tables are as long as the largest id.
MAX_CATEGORY_ID = (1 << 16) - 1
# A confusion matrix has the square of it in cells.
MAX_CATEGORIES = 1 << 12

# Between the least and the greatest id of a map: 24 bits as in a panoptic PNG (id = R + 256 G + 65536 B), and room for
# negative ids of void.
MAX_SPAN = 1 << 25

IdMap = NDArray[np.int32]
RGB = NDArray[np.uint8]


NO_COLOR = (-1, -1, -1)


@dataclass(frozen=True)
class Category:
    """Class of a label space. `color` is its RGB in overlays, by default computed from the id and never very dark."""

    id: int
    name: str
    isthing: bool
    color: tuple[int, int, int] = NO_COLOR

    def __post_init__(self) -> None:
        if self.color == NO_COLOR:
            color = 64 + self.id * 67 % 192, 64 + self.id * 113 % 192, 64 + self.id * 41 % 192
            object.__setattr__(self, "color", color)


@dataclass(frozen=True)
class Categories:
    """Label space. The order of `items` is the order of every per-category array."""

    items: tuple[Category, ...]

    def __post_init__(self) -> None:
        ids = [category.id for category in self.items]
        if len(ids) > MAX_CATEGORIES:
            raise DataError(f"there are {len(ids)} categories, more than {MAX_CATEGORIES}")
        if (twice := first_duplicate(ids)) is not None:
            raise DataError(f"category id {twice} is listed twice; ids must differ")
        for category in self.items:
            if not 0 <= category.id <= MAX_CATEGORY_ID:
                raise DataError(f"category id {category.id} is not in 0..{MAX_CATEGORY_ID}; renumber it")
            if not all(0 <= value <= 255 for value in category.color):
                raise DataError(f"category {category.id}: color {category.color} is not in 0..255")

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Category]:
        return iter(self.items)

    @classmethod
    def from_json(cls, rows: Iterable[Mapping[str, Any]]) -> Categories:
        return cls(tuple(Category(row["id"], row["name"], row["isthing"], tuple(row["color"])) for row in rows))

    def to_json(self) -> list[dict[str, Any]]:
        """Return id, name, isthing (a boolean) and color of each category."""
        return [{**vars(category), "color": list(category.color)} for category in self.items]

    @cached_property
    def ids(self) -> tuple[int, ...]:
        return tuple(category.id for category in self.items)

    @cached_property
    def index_of(self) -> dict[int, int]:
        """Category id → index in `items`."""
        return {category.id: i for i, category in enumerate(self.items)}

    @cached_property
    def isthing(self) -> NDArray[np.bool_]:
        """Mask of thing categories: (C,) bool, in the order of `items`."""
        return np.array([category.isthing for category in self.items], dtype=bool)


class SegmentInfo(NamedTuple):
    """Entry of COCO's segments_info.

    `source_id` is the segment's id in its source format, `declared_area` (pixels) the area given in the JSON. The
    `coco` protocol scores with the declared area if there is one.
    """

    category_id: int
    iscrowd: bool = False
    score: float | None = None
    source_id: int | None = None
    declared_area: float | None = None


@dataclass(frozen=True, eq=False)
class Panoptic:
    """Panoptic segmentation, of ground truth or prediction.

    `id_map` is (H, W) int32 and dense: pixel value i is `segments_info[i - 1]`, 0 is void. Segments are in the order of
    the source. Raises DataError if a segment has no pixel. `absent` are segments that a ground truth lists and no pixel
    has, which protocol `coco` scores; predictions have none.
    """

    id_map: IdMap
    segments_info: tuple[SegmentInfo, ...]
    absent: tuple[SegmentInfo, ...] = ()

    def __post_init__(self) -> None:
        if self.id_map.ndim != 2 or self.id_map.dtype != np.int32:
            raise DataError(f"id_map must be (H, W) int32, not {self.id_map.shape} {self.id_map.dtype}")
        low, high = (int(self.id_map.min()), int(self.id_map.max())) if self.id_map.size else (0, 0)
        if low < 0 or high > len(self.segments_info):
            raise DataError(f"id_map holds {low}..{high}, but there are {len(self.segments_info)} segments")
        empty = [i + 1 for i, area in enumerate(self.areas) if area == 0]
        if empty:
            raise DataError(f"segments without a pixel: {empty[:5]}")

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """Counted pixels of each segment: (n,)."""
        counts = np.bincount(self.id_map.ravel(), minlength=len(self.segments_info) + 1)
        return counts[1:].astype(np.int64)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.id_map.shape
        return height, width

    @property
    def runs(self) -> NDArray[np.int32]:
        """Run-length encoding of the flattened map: (n, 2) int32, the start index and pixel value of each run."""
        flat = self.id_map.ravel()
        starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))[: flat.size]
        return np.stack([starts, flat[starts]], axis=1).astype(np.int32)

    @classmethod
    def from_ids(
        cls, ids: NDArray[np.integer[Any]], infos: Mapping[int, SegmentInfo], *, void: int = 0, is_truth: bool = False
    ) -> Panoptic:
        """Build a Panoptic from any framework's (H, W) id map and a mapping id → SegmentInfo.

        Pixels of value `void` belong to no segment unless `infos` lists `void` (DETR and EoMT number their segments
        from 0). Raise DataError if an unlisted id has pixels, or a listed id has none and it is no ground truth.
        """
        if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
            raise DataError(f"segment ids must be an (H, W) integer map, not {ids.shape} {ids.dtype}")
        dense, unlisted, absent = _dense(ids, list(infos), void)
        if unlisted:
            pixels = int(np.isin(ids, unlisted).sum())
            raise DataError(f"ids {unlisted[:5]} cover {pixels} pixels but are not in segments_info")
        if absent and not is_truth:
            raise DataError(f"segments_info lists ids {absent[:5]} that no pixel has")
        named = {source: info._replace(source_id=source) for source, info in infos.items()}
        if absent:
            named, gone = _parted(named, set(absent))
            return cls(_dense(ids, list(named), void)[0], tuple(named.values()), gone)
        return cls(dense, tuple(named.values()))


def _parted(
    infos: Mapping[int, SegmentInfo], absent: Collection[int]
) -> tuple[dict[int, SegmentInfo], tuple[SegmentInfo, ...]]:
    """Return the segments with pixels, and those without."""
    # Of several crowd regions of a category panopticapi uses the last listed. One without pixels that is not the last
    # has no effect there, and is left out, as the order of the two groups is lost.
    last = {info.category_id: source for source, info in infos.items() if info.iscrowd}
    return (
        {source: info for source, info in infos.items() if source not in absent},
        tuple(i for n, i in infos.items() if n in absent and (not i.iscrowd or last[i.category_id] == n)),
    )


def _dense_compiled(
    ids: NDArray[np.integer[Any]], listed: Sequence[int], void: int
) -> tuple[IdMap, list[int], list[int]] | None:
    """Run `_dense` in C. Return None if the kernel is missing or rejects the input; numpy then reports the error."""
    # The kernel's table is as long as the span of the ids, so the limit comes before it.
    if _kernel is None or ids.dtype != np.int32 or max(void, *listed, 0) - min(void, *listed, 0) > MAX_SPAN:
        return None
    dense = np.empty(ids.shape, dtype=np.int32)
    areas = _kernel(np.ascontiguousarray(ids), np.array(listed, dtype=np.int32), void, dense)
    if areas is None:
        return None
    counts = np.frombuffer(areas, dtype=np.int64)[1:]
    return dense, [], [listed[i] for i in np.flatnonzero(counts == 0).tolist()]


def _dense(ids: NDArray[np.integer[Any]], listed: Sequence[int], void: int) -> tuple[IdMap, list[int], list[int]]:
    """Return the dense map (index in `listed` + 1), unlisted ids with pixels, and listed ids without."""
    if (found := _dense_compiled(ids, listed, void)) is not None:
        return found
    ids = ids.astype(np.int64)
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, 0)
    low, high = min(low, void, *listed, 0), max(high, void, *listed, 0)
    if high - low > MAX_SPAN:
        raise DataError(f"segment ids span {low}..{high}; a panoptic PNG holds 24 bits; number them from 1")
    # Zeros stand for unlisted ids, since the pages of a zeroed table that no id touches are never allocated.
    table = np.zeros(high - low + 1, dtype=np.int32)
    table[void - low] = 1
    table[np.array(listed, dtype=np.int64) - low] = np.arange(2, len(listed) + 2)
    dense = table[ids - low] - 1
    unlisted = np.unique(ids[dense < 0]).tolist()
    present = np.bincount(np.maximum(dense, 0).ravel(), minlength=len(listed) + 1)[1:]
    absent = [listed[i] for i in np.flatnonzero(present == 0).tolist()]
    return dense, unlisted, absent


ProgressCallback = Callable[[int, int], None]  # (done, total)


class Readable(Protocol):
    """File that can be read: a `Path` or a member of an archive. `str()` returns its path."""

    def read_bytes(self) -> bytes:
        """Return the whole content."""


@dataclass(frozen=True, eq=False)
class Image:
    """Input image of a model: `rgb` is (H, W, 3) uint8."""

    image_id: str
    rgb: RGB

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self.rgb.shape[0]), int(self.rgb.shape[1])


@dataclass(frozen=True, eq=False)
class Sample:
    """Image of a data set with its ground truth, read lazily. `group` is its city or sequence.

    `read_semantic` returns (H, W) category ids, any other id being void. Only data sets without panoptic ground truth
    have it; their `read_target` raises UsageError.

    `image_file` and `target_files` are the files that are read. Their digests represent image and ground truth in a
    run's identity. If a sample has none, its pixels are read and hashed instead.
    """

    image_id: str
    group: str
    read_image: Callable[[], Image]
    read_target: Callable[[], Panoptic]
    read_semantic: Callable[[], NDArray[np.int32]] | None = None
    image_file: Readable | None = None
    target_files: tuple[Readable, ...] = ()


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction of a model for one image.

    `semantic` is (H, W) int32 category ids of the semantic output, or None if the model has none. `seconds` maps stage
    → seconds.
    """

    panoptic: Panoptic
    semantic: NDArray[np.int32] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


Precision = Literal["fp32", "bf16", "fp16"]
