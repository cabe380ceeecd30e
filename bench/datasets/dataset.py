"""What a data set is: a specification in YAML, and samples that are read when asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench.config import did_you_mean, find, load_yaml
from bench.errors import DataError, UsageError
from bench.spaces import LabelSpace, load_space
from bench.types import Categories, Sample

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class DatasetSpec:
    """configs/datasets/*.yaml. `roots` are environment variables → sub-folder below their value."""

    title: str
    layout: Literal["cityscapes", "minicity"]
    labels: str
    splits: tuple[str, ...]
    default_split: str
    semantic_rule: Literal["cityscapes", "detectron2"]
    roots: Mapping[str, str]
    tree: str
    obtain: str

    def locate(self, name: str, root: Path | None) -> Path:
        """The folder of the data: the one given, else the first environment variable that names one."""
        if root is not None:
            return root
        for variable, folder in self.roots.items():
            if os.environ.get(variable):
                return Path(os.environ[variable]) / folder
        raise DataError(f"{name}: no data root. Give --data-root or set one of {', '.join(self.roots)}.\n{self.help()}")

    def help(self) -> str:
        """Where the data comes from, how it must lie, and what to try without it."""
        return (
            f"Get it: {self.obtain}\nExpected below the root:\n{self.tree.rstrip()}\n"
            "To try the tool without any download: --dataset minicity"
        )


@dataclass(frozen=True, eq=False)
class Dataset:
    """A split of a data set: samples in their order, and the space that they are scored in."""

    name: str
    split: str
    categories: Categories
    samples: tuple[Sample, ...]
    semantic_rule: Literal["cityscapes", "detectron2"]
    void: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """Its folder name below results/."""
        return f"{self.name}-{self.split}"

    def limited(self, count: int | None) -> Dataset:
        """The first `count` samples, or all."""
        return self if count is None else replace(self, samples=self.samples[:count])

    def only(self, image_ids: list[str]) -> Dataset:
        """The samples of these ids, in the order of the data set."""
        wanted = set(image_ids)
        unknown = wanted - {sample.image_id for sample in self.samples}
        if unknown:
            raise DataError(f"{self.name}:{self.split} has no image {sorted(unknown)[0]!r}")
        return replace(self, samples=tuple(s for s in self.samples if s.image_id in wanted))


def load_dataset(name: str, root: Path | None = None, on_image: Progress | None = None) -> Dataset:
    """`cityscapes`, `minicity:demo`, `./mine.yaml:val`: opens no image; DataError where it is not there.

    `on_image(done, total)` is called while an embedded data set is generated.
    """
    base, _, split = name.partition(":") if not name.endswith((".yaml", ".yml")) else (name, "", "")
    path = find("datasets", base)
    spec = load_yaml(path, DatasetSpec)
    split = split or spec.default_split
    if split not in spec.splits:
        raise UsageError(f"{base} has no split {split!r}; {did_you_mean(split, spec.splits)}")
    space = load_space(spec.labels)
    samples = _samples(path.stem, spec, split, space, root, on_image)
    void = tuple(label.name for label in space.void)
    return Dataset(path.stem, split, space.scored, samples, spec.semantic_rule, void)


def _samples(
    name: str, spec: DatasetSpec, split: str, space: LabelSpace, root: Path | None, on_image: Progress | None
) -> tuple[Sample, ...]:
    from bench.datasets import cityscapes

    if spec.layout == "minicity":
        from bench.datasets.minicity.write import ensure

        return cityscapes.samples(ensure(root, split, on_image=on_image), split, space, spec.help())
    return cityscapes.samples(spec.locate(name, root), split, space, spec.help())
