"""Data sets: specification in YAML, and samples that are read lazily."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Literal

from bench.datasets import coco as coco_panoptic
from bench.datasets.coco import FROM_FILE, CocoPlaces
from bench.datasets.label_maps import LabelMap
from bench.datasets.label_spaces import LabelSpace, load_space
from bench.errors import DataError, UsageError, error_context
from bench.io.canonical_json import digest
from bench.io.config import did_you_mean, find_config, load_yaml
from bench.io.pictures import Pictures
from bench.types import Categories, ProgressCallback, Sample

SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
NO_PICTURES = Pictures(())
Carried = Literal["semantic", "instance", "panoptic"]


@dataclass(frozen=True)
class DatasetSpec:
    """Schema of configs/datasets/*.yaml. `roots` are environment variables → sub-folder below their value.

    `files` are split → places, for the layout `coco`. `carries` are the kinds of labels that it has. Void labels of its
    space can be evaluated as classes, and a generated data set has the name of its generator. `bits` are those in use
    of 16 bit pictures, else found over the split.
    """

    title: str
    layout: Literal["cityscapes", "coco", "semantic_rgb"]
    labels: str
    splits: tuple[str, ...]
    default_split: str
    semantic_rule: Literal["cityscapes", "detectron2"]
    roots: Mapping[str, str]
    tree: str
    obtain: str
    files: Mapping[str, CocoPlaces] = field(default_factory=dict)
    carries: tuple[Carried, ...] = ("panoptic",)
    count: tuple[str, ...] = ()
    bits: int | None = None
    embedded: Literal["", "minicity", "minicoco", "miniika"] = ""

    def __post_init__(self) -> None:
        unsafe = [split for split in self.splits if not SPLIT.fullmatch(split)]
        if unsafe:  # folders are called by it, of the data and of results
            raise UsageError(f"split {unsafe[0][:80]!r}: write letters, digits, '_', '-' and '.', a letter first")
        if self.bits is not None and not 8 <= self.bits <= 16:
            raise UsageError(f"bits: {self.bits}: pictures have 8 to 16 bits in use")

    def ready(self, name: str, root: Path | None, split: str, on_image: ProgressCallback | None = None) -> Path:
        """Return the folder of a split. A generated data set is written first, to the cache if `root` is None."""
        if not self.embedded:
            return self.locate(name, root)
        made: Path = import_module(f"bench.datasets.synthetic.{self.embedded}.write").ensure(root, split, on_image)
        return made

    def locate(self, name: str, root: Path | None) -> Path:
        """Return `root` if given, else the folder below the first environment variable that is set.

        Raise DataError if there is none.
        """
        if root is not None:
            return root
        for variable, folder in self.roots.items():
            if os.environ.get(variable):
                return Path(os.environ[variable]) / folder
        raise DataError(f"{name}: no data root. Give --data-root or set one of {', '.join(self.roots)}.\n{self.help()}")

    def help(self) -> str:
        """Return how to obtain the data, the expected folder layout, and a data set that needs no download."""
        return (
            f"Get it: {self.obtain}\nExpected below the root:\n{self.tree.rstrip()}\n"
            "To try the tool without any download: --dataset minicity"
        )


@dataclass(frozen=True, eq=False)
class Dataset:
    """Split of a data set: samples in order, and the categories that are evaluated.

    `space` is the name of the label space. `base` and `labels` are the base and the label map of a derived data set.
    `root` is the folder of the files, `pictures` are those of the whole split. `label_table` is a digest of the labels
    that the truth is decoded with, void labels and colours included.
    """

    name: str
    split: str
    categories: Categories
    samples: tuple[Sample, ...]
    semantic_rule: Literal["cityscapes", "detectron2"]
    void: tuple[str, ...] = ()
    carries: tuple[Carried, ...] = ("panoptic",)
    space: str = ""
    base: str = ""
    labels: LabelMap | None = None
    root: Path | None = None
    label_table: str = ""
    pictures: Pictures = NO_PICTURES

    @property
    def slug(self) -> str:
        """Folder name below results/."""
        return f"{self.name}-{self.split}"

    def limited(self, count: int | None) -> Dataset:
        """Return the first `count` samples, or all if it is None."""
        return self if count is None else replace(self, samples=self.samples[:count])

    def only(self, image_ids: list[str]) -> Dataset:
        """Return the samples with these ids, in data set order. Raise DataError for unknown ids."""
        wanted = set(image_ids)
        unknown = wanted - {sample.image_id for sample in self.samples}
        if unknown:
            raise DataError(f"{self.name}:{self.split} has no image {sorted(unknown)[0]!r}")
        return replace(self, samples=tuple(s for s in self.samples if s.image_id in wanted))


def parse_dataset_name(name: str) -> tuple[Path, str]:
    """Return the YAML file and the split of a data set name; "" is the default split."""
    base, _, split = name.partition(":") if not name.endswith((".yaml", ".yml")) else (name, "", "")
    return find_config("datasets", base), split


def load_plain(
    path: Path, split: str, root: Path | None, on_image: ProgressCallback | None, count: tuple[str, ...] = ()
) -> Dataset:
    """Load a data set from a YAML without `base`. Further void labels can be read as classes."""
    spec, split = plain_spec(path, split)
    if spec.layout == "coco":
        with error_context(path):
            return _coco(path.stem, spec, split, root, on_image)
    with error_context(path):
        space = load_space(spec.labels).with_void_as_classes((*spec.count, *count))
    folder = spec.ready(path.stem, root, split, on_image)
    samples, pictures = _samples(path.stem, spec, split, space, folder)
    return Dataset(
        path.stem,
        split,
        space.evaluated,
        samples,
        spec.semantic_rule,
        tuple(label.name for label in space.void),
        spec.carries,
        spec.labels,
        root=folder,
        label_table=digest(space)[:16],
        pictures=pictures,
    )


def plain_spec(path: Path, split: str) -> tuple[DatasetSpec, str]:
    """Return the specification in a YAML, and the split or its default. Raise UsageError for an unknown split."""
    spec = load_yaml(path, DatasetSpec)
    split = split or spec.default_split
    if split not in spec.splits:
        raise UsageError(f"{path.stem} has no split {split!r}; {did_you_mean(split, spec.splits)}")
    return spec, split


def coco_files(
    name: str, spec: DatasetSpec, split: str, root: Path | None, on_image: ProgressCallback | None = None
) -> coco_panoptic.CocoFiles:
    if split not in spec.files:
        raise UsageError(f"{name}: `files` says nothing of the split {split!r}; {did_you_mean(split, spec.files)}")
    return coco_panoptic.open_files(spec.ready(name, root, split, on_image), spec.files[split], spec.help())


def _coco(name: str, spec: DatasetSpec, split: str, root: Path | None, on_image: ProgressCallback | None) -> Dataset:
    space = None if spec.labels == FROM_FILE else load_space(spec.labels)
    files = coco_files(name, spec, split, root, on_image)
    samples, categories, pictures = coco_panoptic.samples(files, space, spec.bits)
    folder = spec.ready(name, root, split)
    return Dataset(
        name, split, categories, samples, spec.semantic_rule, space=spec.labels, root=folder, pictures=pictures
    )


def _samples(
    name: str, spec: DatasetSpec, split: str, space: LabelSpace, folder: Path
) -> tuple[tuple[Sample, ...], Pictures]:
    from bench.datasets import cityscapes, semantic_rgb

    if spec.layout == "semantic_rgb":
        return semantic_rgb.samples(name, folder, space, spec.help(), spec.bits)
    return cityscapes.samples(folder, split, space, spec.help(), spec.bits)
