"""`load_dataset`: data sets by name, derived data sets, COCO files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from bench.datasets.dataset import Dataset, DatasetSpec, load_plain, parse_dataset_name
from bench.datasets.label_map_files import MapFile, load_map, same_categories
from bench.datasets.label_maps import LabelMap, remap, remap_semantic
from bench.datasets.label_spaces import load_space
from bench.errors import DataError, UsageError, error_context
from bench.io import coco
from bench.io.coco import PanopticFile
from bench.io.config import find_config, from_dict, load_yaml, read_yaml
from bench.types import Panoptic, ProgressCallback, Sample


@dataclass(frozen=True)
class DerivedSpec:
    """Schema of configs/datasets/*.yaml with a `base`. `labels` is a label map from the space of the base.

    Void labels of the target space can be evaluated as classes.
    """

    title: str
    base: str
    labels: str
    count: tuple[str, ...] = ()


def read_derived(path: Path) -> DerivedSpec | None:
    """Read the file as a derived data set, or return None if it has no `base`."""
    data = read_yaml(path)
    return from_dict(DerivedSpec, data, str(path)) if "base" in data else None


def read_spec(path: Path) -> DatasetSpec:
    """Read a specification; for a derived data set that of its base, with its own title and labels."""
    derived = read_derived(path)
    if derived is None:
        return load_yaml(path, DatasetSpec)
    return replace(load_yaml(_base(path, derived), DatasetSpec), title=derived.title, labels=derived.labels)


def _base(path: Path, derived: DerivedSpec) -> Path:
    with error_context(path):
        base = find_config("datasets", derived.base)
    if "base" in read_yaml(base):
        raise UsageError(f"{path}: its base {derived.base!r} is derived itself; derive from that one's base")
    return base


def derive(path: Path, spec: DerivedSpec, split: str, root: Path | None, on_image: ProgressCallback | None) -> Dataset:
    """Load the base with its truth mapped on reading. Void labels that the map sends to a class are read as classes."""
    with error_context(path):
        labels = load_map(spec.labels, spec.count)
        file = load_yaml(find_config("labels", spec.labels), MapFile)
    source, target = load_space(file.source), load_space(file.target).with_void_as_classes(spec.count)
    promoted = tuple(category.name for category in labels.source.items[len(source.categories) :])
    base = load_plain(_base(path, spec), split, root, on_image, count=promoted)
    if not same_categories(base.categories, labels.source):
        raise UsageError(f"{path}: the map {spec.labels} starts at {file.source}, not at the classes of {spec.base}")
    return replace(
        base,
        name=path.stem,
        base=spec.base,
        categories=labels.target,
        samples=tuple(_mapped(sample, labels) for sample in base.samples),
        void=tuple(label.name for label in target.void),
        space=file.target,
        labels=labels,
    )


def _mapped(sample: Sample, labels: LabelMap) -> Sample:
    semantic = sample.read_semantic
    return replace(
        sample,
        read_target=partial(_read_target, sample.image_id, sample.read_target, labels),
        read_semantic=None if semantic is None else partial(_read_semantic, semantic, labels),
    )


def _read_target(image_id: str, read: Callable[[], Panoptic], labels: LabelMap) -> Panoptic:
    try:
        return remap(read(), labels)
    except DataError as error:
        raise DataError(f"image {image_id!r}: {error}") from None


def _read_semantic(read: Callable[[], NDArray[np.int32]], labels: LabelMap) -> NDArray[np.int32]:
    return remap_semantic(read(), labels)


def load_base(dataset: Dataset, root: Path | None, on_image: ProgressCallback | None = None) -> Dataset:
    """Load the base of a derived data set in its own label space, with the same images; UsageError if it has none."""
    if dataset.labels is None:
        raise UsageError(f"{dataset.name}: its labels are not mapped from another data set's")
    base = load_plain(find_config("datasets", dataset.base), dataset.split, root, on_image)
    return base.only([sample.image_id for sample in dataset.samples])


def load_dataset(name: str, root: Path | None = None, on_image: ProgressCallback | None = None) -> Dataset:
    """Load a data set by name and split: `cityscapes`, `minicity:demo`, `./mine.yaml:val`.

    Opens no image. Raises DataError if files are missing. `on_image(done, total)` is called while data are generated.

    >>> data = load_dataset("minicity:demo").limited(2)
    >>> [category.name for category in data.categories][:3]
    ['road', 'sidewalk', 'building']
    >>> truth = data.samples[0].read_target()
    >>> truth.size, len(truth.segments_info) > 10
    ((256, 512), True)
    """

    path, split = parse_dataset_name(name)
    derived = read_derived(path)
    return load_plain(path, split, root, on_image) if derived is None else derive(path, derived, split, root, on_image)


def load_coco_files(file: Path, folder: Path) -> Dataset:
    """Load a COCO panoptic JSON and its folder of PNGs, in file order, without images.

    mIoU is by detectron2's rule, as usual for COCO.
    """
    truth = coco.load_json(file, is_truth=True)
    samples = tuple(
        Sample(image_id, "", partial(_no_image, image_id), target, target_files=(file, target.png))
        for image_id, target in ((image_id, _target(folder, truth, image_id)) for image_id in truth.annotations)
    )
    return Dataset(file.stem, "files", truth.categories, samples, "detectron2")


def _target(folder: Path, truth: coco.CocoPanoptic, image_id: str) -> PanopticFile:
    annotation, listed = truth.annotations[image_id], truth.segments[image_id]
    return PanopticFile(folder / annotation["file_name"], annotation, truth.categories.index_of, True, listed)


def _no_image(image_id: str) -> NoReturn:
    raise DataError(f"image {image_id!r}: only its ground truth was given, no picture")
