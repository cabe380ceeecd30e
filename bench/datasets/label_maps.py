"""Maps between label spaces by name, complete: every class of the source is sent to a class or to void.

Many-to-one keeps thing instances apart and merges stuff to one segment. Thing → stuff drops the instances. Stuff →
thing is rejected, since stuff has no instances. Anything sent to void is void.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError, UsageError
from bench.types import Categories, Category, Panoptic, Prediction, SegmentInfo

LABELS_VERSION = 1  # raised with every change that moves a pixel of a mapped label
VOID = "void"


@dataclass(frozen=True)
class LabelMap:
    """Label map: `names` are source class → target class, or None for void. Every class of `source` is listed."""

    source: Categories
    target: Categories
    names: Mapping[str, str | None]

    def __post_init__(self) -> None:
        sources, targets = _by_name(self.source), _by_name(self.target)
        for name in sources:
            if name not in self.names:
                raise UsageError(f"the label map does not list the class {name!r}; map it to a class or to {VOID}")
        for name, to in self.names.items():
            if name not in sources:
                raise UsageError(f"the label map lists {name!r}, which is not in its source space")
            if to is not None and to not in targets:
                raise UsageError(f"the label map sends {name!r} to {to!r}, which is not in its target space")
            if to is not None and targets[to].isthing and not sources[name].isthing:
                raise UsageError(
                    f"the label map sends the stuff class {name!r} to the thing {to!r}; "
                    "stuff has no instances, so map it to stuff or to void"
                )

    @cached_property
    def category_of(self) -> dict[int, Category | None]:
        """Source category id → target category, None for void."""
        targets = _by_name(self.target)
        return {c.id: None if (to := self.names[c.name]) is None else targets[to] for c in self.source}

    @cached_property
    def is_identity(self) -> bool:
        return self.source == self.target and all(name == to for name, to in self.names.items())


def _by_name(categories: Categories) -> dict[str, Category]:
    found = {category.name: category for category in categories}
    if len(found) < len(categories):
        names = [category.name for category in categories]
        raise UsageError(f"two classes are called {next(n for n in names if names.count(n) > 1)!r}; a map needs one")
    return found


def compose(second: LabelMap, first: LabelMap) -> LabelMap:
    """Return the map of `first`, then `second`. Raise UsageError unless its source has the target of `first`."""
    known = {(c.id, c.name, c.isthing) for c in second.source}
    strange = [c.name for c in first.target if (c.id, c.name, c.isthing) not in known]
    if strange:
        raise UsageError(f"the second label map does not start where the first ends: {strange[0]!r}")
    names = {name: None if to is None else second.names[to] for name, to in first.names.items()}
    return LabelMap(first.source, second.target, names)


def remap(panoptic: Panoptic, labels: LabelMap) -> Panoptic:
    """Return the segmentation in the target space; the identity returns the same object.

    Segments stay in order. A merged segment has the position and source id of its first part, the sum of the declared
    areas and the maximum of the scores. A crowd region stays crowd, but becomes plain stuff if its class becomes stuff.
    Several segments of a stuff class that stays stuff are not merged, unless another class joins them.
    """
    if labels.is_identity:
        return panoptic
    groups = _groups(panoptic, labels)
    table = np.zeros(len(panoptic.segments_info) + 1, dtype=np.int32)
    for number, (_, positions) in enumerate(groups, 1):
        table[[position + 1 for position in positions]] = number
    infos = tuple(_joined(panoptic, positions, category, labels) for category, positions in groups)
    return Panoptic(table[panoptic.id_map], infos, tuple(_remapped_absent(panoptic, labels)))


def _remapped_absent(panoptic: Panoptic, labels: LabelMap) -> Iterator[SegmentInfo]:
    """Yield the segments without pixels, but none of a class that is merged: it is a part of one that has pixels."""
    fused = _fused(panoptic, labels)
    for info in panoptic.absent:
        to = _target(info, labels)
        if to is not None and to.id not in fused:
            iscrowd = info.iscrowd and _isthing(info.category_id, labels) == to.isthing
            yield info._replace(category_id=to.id, iscrowd=iscrowd)


def _groups(panoptic: Panoptic, labels: LabelMap) -> list[tuple[Category, list[int]]]:
    """Return each target category with the segments_info indices of its parts; void is left out."""
    targets = [_target(info, labels) for info in panoptic.segments_info]
    fused = _fused(panoptic, labels)
    groups: dict[tuple[int, int], tuple[Category, list[int]]] = {}
    for position, category in enumerate(targets):
        if category is not None:
            # One group of all segments of a fused class, else one for each segment.
            key = (category.id, -1 if category.id in fused else position)
            groups.setdefault(key, (category, []))[1].append(position)
    return list(groups.values())


def _target(info: SegmentInfo, labels: LabelMap) -> Category | None:
    if info.category_id not in labels.category_of:
        raise DataError(f"category {info.category_id} is not in the source space of the label map")
    return labels.category_of[info.category_id]


def _fused(panoptic: Panoptic, labels: LabelMap) -> set[int]:
    """Return the ids of stuff classes that merge several classes, or things, in this image."""
    # A stuff class with one origin keeps its segments: several of them are a fault of the data, not of the map.
    origins: dict[int, set[int]] = {}
    for info in panoptic.segments_info:
        to = labels.category_of[info.category_id]
        if to is not None and not to.isthing:
            origins.setdefault(to.id, set()).add(info.category_id)
    return {to for to, ids in origins.items() if len(ids) > 1 or any(_isthing(i, labels) for i in ids)}


def _isthing(category_id: int, labels: LabelMap) -> bool:
    return labels.source.items[labels.source.index_of[category_id]].isthing


def _joined(panoptic: Panoptic, positions: list[int], to: Category, labels: LabelMap) -> SegmentInfo:
    infos = [panoptic.segments_info[position] for position in positions]
    scores = [info.score for info in infos if info.score is not None]
    # Declared areas are kept, since protocol coco scores with them; a part without one counts its pixels.
    areas = [
        int(panoptic.areas[position]) if info.declared_area is None else info.declared_area
        for position, info in zip(positions, infos, strict=True)
    ]
    declared = any(info.declared_area is not None for info in infos)
    return SegmentInfo(
        category_id=to.id,
        iscrowd=all(info.iscrowd and _isthing(info.category_id, labels) == to.isthing for info in infos),
        score=max(scores) if scores else None,
        source_id=infos[0].source_id,
        declared_area=sum(areas) if declared else None,
    )


def void_id(categories: Categories) -> int:
    """Return the id of void in a semantic map of these categories: the lowest unused id."""
    return next(i for i in range(len(categories) + 1) if i not in categories.index_of)


def remap_semantic(ids: NDArray[np.int32], labels: LabelMap) -> NDArray[np.int32]:
    """Map (H, W) category ids to the target space. Unknown ids become void, which is `void_id`."""
    if labels.is_identity:
        return ids
    void = void_id(labels.target)
    # One index after the largest id, for ids that the source space does not have.
    beyond = max(labels.source.ids, default=0) + 1
    table = np.full(beyond + 1, void, dtype=np.int32)
    for source, to in labels.category_of.items():
        table[source] = void if to is None else to.id
    return table[np.where((ids < 0) | (ids > beyond), beyond, ids)]


def remap_prediction(prediction: Prediction, labels: LabelMap) -> Prediction:
    """Map both maps of a prediction to the target space, after the model's argmax."""
    semantic = None if prediction.semantic is None else remap_semantic(prediction.semantic, labels)
    return replace(prediction, panoptic=remap(prediction.panoptic, labels), semantic=semantic)
