"""Data sets: specification in YAML, and samples that are read lazily."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Literal

from bench.datasets import coco as coco_panoptic
from bench.datasets.coco import CocoPlaces
from bench.datasets.corruptions import Corruption, parse_corruption
from bench.datasets.label_maps import LabelMap
from bench.datasets.label_spaces import FROM_FILE, Labels, LabelSpace, load_space, space_name
from bench.errors import DataError, UsageError, error_context
from bench.io.canonical_json import digest
from bench.io.config import FilePath, did_you_mean, find_config, load_yaml, shipped_configs
from bench.io.pictures import Pictures
from bench.types import Categories, Image, ProgressCallback, Sample

SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
YAML = re.compile(r"(.+\.ya?ml)(?::([^/]*))?")  # a user's file, with a split
NO_PICTURES = Pictures(())
Carried = Literal["semantic", "instance", "panoptic"]


@dataclass(frozen=True)
class DatasetSpec:
    """Schema of configs/datasets/*.yaml: COCO panoptic files, Cityscapes' tree, or ika's colour-coded labels.

    `labels` is a label space, or `from-file`: the categories that the COCO JSON lists. `files` are split → places below
    the root, for the layout `coco`; other layouts list their `splits`. `default_split` is `val` if there is one, else
    the first. The root is --data-root, else `root`, else the first environment variable of `roots` that is set, with
    a sub-folder below its value.

    `semantic_rule` is the rule of mIoU where a prediction is void on valid truth: a miss (`cityscapes`, as in
    cityscapesScripts) or ignored (`detectron2`). `carries` are the kinds of labels that the data set has. `count` lists
    void labels of its label space that are evaluated as classes. `tree` and `obtain` are the expected files and their
    source, for the message if there are none. A data set that is generated has the name of its generator in `embedded`.
    `bits` are the bits in use of 16 bit pictures; None finds them over the split.
    """

    title: str = ""
    layout: Literal["coco", "cityscapes", "semantic_rgb"] = "coco"
    labels: Labels = FROM_FILE
    files: Mapping[str, CocoPlaces] = field(default_factory=dict)
    splits: tuple[str, ...] = ()
    default_split: str = ""
    semantic_rule: Literal["cityscapes", "detectron2"] = "detectron2"
    root: FilePath | None = None
    roots: Mapping[str, str] = field(default_factory=dict)
    carries: tuple[Carried, ...] = ("panoptic",)
    count: tuple[str, ...] = ()
    tree: str = ""
    obtain: str = ""
    bits: int | None = None
    embedded: Literal["", "minicity", "minicoco", "miniika"] = ""

    def __post_init__(self) -> None:
        splits = self.splits or tuple(self.files)
        if not splits:
            raise UsageError("a data set needs `files`: split → json, panoptic and images; in other layouts `splits`")
        if self.layout != "coco" and self.labels == FROM_FILE:
            raise UsageError(f"the layout {self.layout} lists no classes: name a label space in `labels`")
        unsafe = [split for split in splits if not SPLIT.fullmatch(split)]
        # Folders of the data and of results have this name.
        if unsafe:
            raise UsageError(f"split {unsafe[0][:80]!r}: write letters, digits, '_', '-' and '.', a letter first")
        if self.bits is not None and not 8 <= self.bits <= 16:
            raise UsageError(f"bits: {self.bits}: pictures have 8 to 16 bits in use")
        object.__setattr__(self, "splits", splits)
        object.__setattr__(self, "default_split", self.default_split or ("val" if "val" in splits else splits[0]))

    def ready(self, name: str, root: Path | None, split: str, on_image: ProgressCallback | None = None) -> Path:
        """Return the folder of a split. A generated data set is written first, to the cache if `root` is None."""
        if not self.embedded:
            return self.locate(name, root)
        made: Path = import_module(f"bench.datasets.synthetic.{self.embedded}.write").ensure(root, split, on_image)
        return made

    def locate(self, name: str, root: Path | None) -> Path:
        """Return `root` if given, else the one of the YAML, or the folder below the first environment variable set.

        Raise DataError if there is none.
        """
        if root is not None or self.root is not None:
            return root or Path(str(self.root))
        for variable, folder in self.roots.items():
            if os.environ.get(variable):
                return Path(os.environ[variable]) / folder
        ways = f" Give --data-root or set one of {', '.join(self.roots)}." if self.roots else ""
        raise DataError(f"{name}: no data root.{ways}\n{self.help()}")

    def help(self) -> str:
        """Return how to obtain the data, the expected folder layout, and a data set that needs no download.

        For a user's data set it is the key of its YAML that names the folder.
        """
        if not self.roots and not self.embedded:
            return "Write the folder into its YAML (`root`, and `files` below it), or give --data-root"
        get = f"Get it: {self.obtain}\n" if self.obtain else ""
        tree = f"Expected below the root:\n{self.tree.rstrip()}\n" if self.tree else ""
        return f"{get}{tree}To try the tool without any download: --dataset minicity"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Split of a data set: samples in order, and the categories that are evaluated.

    `space` is the name of the label space, "" if the data set lists its own classes. `base` and `labels` are the base
    and the label map of a derived data set. `root` is the folder of the files, `pictures` are those of the whole split.
    `label_table` is a digest of the labels that the truth is decoded with, void labels and colours included. `origin`
    are the options of the command line that open it again: `dataset` and `data_root`, or `gt` and `gt_dir`.
    `corruption` is that of the pictures.
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
    origin: Mapping[str, str] = field(default_factory=dict)
    pictures: Pictures = NO_PICTURES
    corruption: Corruption | None = None

    @property
    def slug(self) -> str:
        """Folder name below results/."""
        changed = "" if self.corruption is None else f"-{self.corruption.name}-{self.corruption.strength}"
        return f"{self.name}-{self.split}{changed}"

    def corrupted(self, text: str | None) -> Dataset:
        """Return the data set with its pictures corrupted, e.g. by `fog:3`; unchanged if `text` is None.

        Ground truth stays as it is.
        """
        if text is None:
            return self
        corruption = parse_corruption(text)
        if self.corruption is not None:
            raise UsageError(f"--corrupt {text}: the pictures are corrupted already, by {self.corruption}; name one")
        samples = (replace(sample, read_image=partial(_read_corrupted, sample, corruption)) for sample in self.samples)
        return replace(self, samples=tuple(samples), corruption=corruption)

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


def _read_corrupted(sample: Sample, corruption: Corruption) -> Image:
    return corruption.apply(sample.read_image())


def parse_dataset_name(name: str) -> tuple[Path, str]:
    """Return the YAML file and the split of a data set name; "" is the default split."""
    own = YAML.fullmatch(name)
    base, split = (own[1], own[2] or "") if own else (*name.split(":", 1), "")[:2]
    return find_config("datasets", base), split


def load_plain(
    path: Path, split: str, root: Path | None, on_image: ProgressCallback | None, count: tuple[str, ...] = ()
) -> Dataset:
    """Load a data set from a YAML without `base`. Further void labels can be read as classes."""
    spec, split = plain_spec(path, split)
    if spec.layout == "coco":
        with error_context(path):
            return _coco(path, spec, split, root, on_image)
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
        space_name(spec.labels),
        root=folder,
        label_table=digest(space)[:16],
        origin=origin(path, split, None if spec.embedded else folder),
        pictures=pictures,
    )


def origin(path: Path, split: str, root: Path | None) -> dict[str, str]:
    """Return the options that open a data set again: the name of a shipped one, or the absolute path of its YAML."""
    name = path.stem if path in shipped_configs("datasets").values() else path.resolve()
    return {"dataset": f"{name}:{split}"} | ({} if root is None else {"data_root": str(root.resolve())})


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
        raise UsageError(f"{name}: `files` has no entry for split {split!r}; {did_you_mean(split, spec.files)}")
    return coco_panoptic.open_files(spec.ready(name, root, split, on_image), spec.files[split], spec.help())


def _coco(path: Path, spec: DatasetSpec, split: str, root: Path | None, on_image: ProgressCallback | None) -> Dataset:
    space = None if spec.labels == FROM_FILE else load_space(spec.labels)
    files = coco_files(path.stem, spec, split, root, on_image)
    samples, categories, pictures = coco_panoptic.samples(files, space, spec.bits)
    folder = spec.ready(path.stem, root, split)
    return Dataset(
        path.stem,
        split,
        categories,
        samples,
        spec.semantic_rule,
        space="" if space is None else space_name(spec.labels),
        root=folder,
        origin=origin(path, split, None if spec.embedded else folder),
        pictures=pictures,
    )


def _samples(
    name: str, spec: DatasetSpec, split: str, space: LabelSpace, folder: Path
) -> tuple[tuple[Sample, ...], Pictures]:
    from bench.datasets import cityscapes, semantic_rgb

    if spec.layout == "semantic_rgb":
        return semantic_rgb.samples(name, folder, space, spec.help(), spec.bits)
    return cityscapes.samples(folder, split, space, spec.help(), spec.bits)
