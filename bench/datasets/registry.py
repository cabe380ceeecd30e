"""`load_dataset`: data sets by name, derived data sets, COCO files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from bench.datasets.coco import CocoFiles
from bench.datasets.coco import samples as samples_of
from bench.datasets.dataset import NO_PICTURES, Dataset, DatasetSpec, load_plain, origin, parse_dataset_name
from bench.datasets.label_map_files import MapFile, load_map, same_categories
from bench.datasets.label_maps import LabelMap, remap, remap_semantic
from bench.datasets.label_spaces import FROM_FILE, load_space, space_name
from bench.errors import DataError, UsageError, error_context
from bench.io import coco
from bench.io.coco import PanopticFile
from bench.io.config import ConfigName, find_config, load_yaml, read_yaml
from bench.types import Categories, Image, Panoptic, ProgressCallback, Sample


@dataclass(frozen=True)
class DerivedSpec:
    """Schema of configs/datasets/*.yaml with a `base`. `labels` is a label map from the space of the base.

    Void labels of the target space can be evaluated as classes.
    """

    base: ConfigName
    labels: ConfigName
    title: str = ""
    count: tuple[str, ...] = ()


def read_derived(path: Path) -> DerivedSpec | None:
    """Read the file as a derived data set, or return None if it has no `base`."""
    return load_yaml(path, DerivedSpec) if "base" in read_yaml(path) else None


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
        raise UsageError(
            f"{path}: its base {derived.base!r} is itself derived from a data set; name that one as the base"
        )
    return base


def derive(path: Path, spec: DerivedSpec, split: str, root: Path | None, on_image: ProgressCallback | None) -> Dataset:
    """Load the base with its truth mapped on reading. Void labels that the map sends to a class are read as classes."""
    with error_context(path):
        file = load_yaml(find_config("labels", spec.labels), MapFile)
        if file.source == FROM_FILE:
            base = load_plain(_base(path, spec), split, root, on_image)
            labels = load_map(spec.labels, spec.count, source=base.categories)
        else:
            labels = load_map(spec.labels, spec.count)
            # Void labels that the map sends to a class follow the evaluated ones of the source.
            promoted = tuple(c.name for c in labels.source.items[len(load_space(file.source).categories) :])
            base = load_plain(_base(path, spec), split, root, on_image, count=promoted)
        if not same_categories(base.categories, labels.source):
            name = space_name(file.source)
            raise UsageError(f"the map {spec.labels} starts at {name}, not at the classes of {spec.base}")
        target = load_space(file.target).with_void_as_classes(spec.count)
    return replace(
        base,
        name=path.stem,
        base=spec.base,
        categories=labels.target,
        samples=tuple(_mapped(sample, labels) for sample in base.samples),
        void=tuple(label.name for label in target.void),
        space=space_name(file.target),
        labels=labels,
        origin={**base.origin, **origin(path, base.split, None)},
    )


def _mapped(sample: Sample, labels: LabelMap) -> Sample:
    semantic = sample.read_semantic
    return replace(
        sample,
        read_target=partial(_read_target, sample.image_id, sample.read_target, labels),
        read_semantic=None if semantic is None else partial(_read_semantic, semantic, labels),
    )


def _read_target(image_id: str, read: Callable[[], Panoptic], labels: LabelMap) -> Panoptic:
    with error_context(f"image {image_id!r}"):
        return remap(read(), labels)


def _read_semantic(read: Callable[[], NDArray[np.int32]], labels: LabelMap) -> NDArray[np.int32]:
    return remap_semantic(read(), labels)


def load_base(dataset: Dataset, root: Path | None, on_image: ProgressCallback | None = None) -> Dataset:
    """Load the base of a derived data set in its own label space, with the same images; UsageError if it has none."""
    if dataset.labels is None:
        raise UsageError(f"{dataset.name}: has no label map; name a data set that is derived from another")
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


def load_coco_files(file: Path, folder: Path, images: Path | None = None) -> Dataset:
    """Load a COCO panoptic JSON and its folder of PNGs, in file order, with the pictures in `images`, if given.

    mIoU is by detectron2's rule, as usual for COCO.
    """
    if images is None:
        samples, categories = _unseen(file, folder)
        pictures = NO_PICTURES
    else:
        samples, categories, pictures = samples_of(CocoFiles(file, folder, images), None)
    again = {"gt": str(file.resolve()), "gt_dir": str(folder.resolve())}
    return Dataset(file.stem, "files", categories, samples, "detectron2", origin=again, pictures=pictures)


def _unseen(file: Path, folder: Path) -> tuple[tuple[Sample, ...], Categories]:
    """Return the samples of a COCO panoptic JSON without pictures, and its categories."""
    truth = coco.load_json(file, is_truth=True)
    targets = ((image_id, _target(folder, truth, image_id)) for image_id in truth.annotations)
    samples = (
        Sample(image_id, "", partial(_no_image, image_id), target, target_files=(file, target.png))
        for image_id, target in targets
    )
    return tuple(samples), truth.categories


def with_plain_pictures(dataset: Dataset) -> Dataset:
    """Return the data set with grey pictures of the size of the truth, as a ground to draw on."""
    samples = (replace(sample, read_image=partial(_plain, sample)) for sample in dataset.samples)
    return replace(dataset, samples=tuple(samples))


def _plain(sample: Sample) -> Image:
    return Image(sample.image_id, np.full((*sample.read_target().size, 3), 128, dtype=np.uint8))


def _target(folder: Path, truth: coco.CocoPanoptic, image_id: str) -> PanopticFile:
    annotation, listed = truth.annotations[image_id], truth.segments[image_id]
    return PanopticFile(folder / annotation["file_name"], annotation, truth.categories.index_of, True, listed)


def _no_image(image_id: str) -> NoReturn:
    raise DataError(f"image {image_id!r}: only its ground truth was given, no picture")
