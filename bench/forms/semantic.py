"""Semantic labels: maps of category numbers, or of colours. They have mIoU and no PQ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.datasets.dataset import Dataset
from bench.datasets.label_maps import void_id
from bench.datasets.label_spaces import LabelSpace
from bench.datasets.semantic_rgb import semantic_of
from bench.errors import DataError, error_context
from bench.forms.arrays import IdArray, has_palette, is_rgb, read_map, replaced, values_of
from bench.forms.classes import Ids, Options, numbers, other_ids
from bench.io.canonical_json import digest, to_plain
from bench.io.hashing import FileDigests, files_digest
from bench.io.images import read_palette, read_rgb
from bench.metrics.semantic import semantic_from_panoptic
from bench.results.predictions import CocoFiles
from bench.types import Categories, Panoptic, Prediction, Readable

VOID = (-1, 255)  # 255 is void in train ids, and the usual "ignore" of training code


@dataclass(frozen=True, eq=False)
class SemanticMaps:
    """Predictions as semantic labels, one file an image: numbers of categories, or colours of `space`.

    Files named `_labelIds`, as in cityscapesScripts, may have its void labels; `_labelTrainIds` have train ids.
    """

    name: str
    options: Options
    files: Mapping[str, Path]
    space: LabelSpace

    @property
    def form(self) -> str:
        return "semantic"

    @property
    def image_ids(self) -> Collection[str]:
        return self.files.keys()

    def read(self, image_id: str, categories: Categories) -> Prediction:
        path = self.files[image_id]
        with error_context(path):
            colored = has_colors(path, self.space)
            semantic = semantic_of(read_rgb(path), self.space) if colored else self._numbered(path, categories)
        return Prediction(Panoptic(np.zeros(semantic.shape, dtype=np.int32), ()), semantic)

    def _numbered(self, path: Path, categories: Categories) -> NDArray[np.int32]:
        ids, _ = read_map(path)
        values = values_of(ids)
        named = self.space.void_ids if path.stem.endswith("_labelIds") else ()
        void = {*(self.options.void or VOID), *named}
        chosen = ids_of(path, self.options)
        known = numbers(categories, chosen)
        if named and self.options.ids is None and _are_train_ids(ids, values, known):
            raise DataError(
                "most pixels have void labels, and all values fit train ids; name them by --ids train-ids, or by "
                "--ids dataset if they are label ids"
            )
        unknown = [value for value in values.tolist() if value not in known and value not in void]
        if unknown:
            raise DataError(
                f"label {unknown[0]} is not among the categories by --ids {chosen} ({len(unknown)} such labels); "
                f"{other_ids(unknown, categories, chosen)}, --void {unknown[0]} if it means void"
            )
        table = [known.get(value, void_id(categories)) for value in values.tolist()]
        return replaced(ids, values, table)

    def coco_files(self, image_id: str, categories: Categories) -> CocoFiles | None:
        return None

    def digest(self, digests: FileDigests, image_ids: Collection[str] | None = None) -> str:
        named: list[tuple[str, Readable]] = [
            (f"{path.stem.rpartition('_')[2]}/{image_id}", path)
            for image_id, path in self.files.items()
            if image_ids is None or image_id in image_ids
        ]
        return digest(["semantic", self.options.to_json(), to_plain(self.space), files_digest(named, digests)])


def has_colors(path: Path, space: LabelSpace) -> bool:
    """Return whether labels are colours: in RGB, or as a palette that has colours of labels alone.

    The indices of such a palette may be in any order. Black fills palettes up.
    """
    if not has_palette(path):
        return is_rgb(path)
    colors = {label.color for label in space.void} | {category.color for category in space.categories}
    palette, used = read_palette(path)
    return set() < palette - {(0, 0, 0)} <= colors and used <= colors


def _are_train_ids(ids: IdArray, values: NDArray[np.int64], known: Collection[int]) -> bool:
    """Return whether values of a file of label ids are rather train ids: all fit, and most pixels would be void."""
    return {*values.tolist(), 255} <= {*range(len(known)), 255} and bool(np.isin(ids, list(known)).mean() < 0.5)


def ids_of(path: Path, options: Options) -> Ids:
    return options.ids or ("train-ids" if path.stem.endswith("_labelTrainIds") else "dataset")


def semantic_only(dataset: Dataset) -> Dataset:
    """Return the data set with its truth as semantic labels, for predictions without instances."""
    if "panoptic" not in dataset.carries:
        return dataset
    samples = tuple(
        replace(sample, read_semantic=partial(_truth, sample.read_target, dataset.categories))
        for sample in dataset.samples
    )
    return replace(dataset, samples=samples, carries=("semantic",))


def _truth(read: Callable[[], Panoptic], categories: Categories) -> NDArray[np.int32]:
    ids = np.array([*categories.ids, void_id(categories)], dtype=np.int32)
    return ids[semantic_from_panoptic(read(), categories)]
