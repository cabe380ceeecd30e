"""The scenes of a data set: which are learned from, which are held back; read when first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image as PilImage

from bench.datasets.dataset import Dataset
from bench.errors import UsageError
from bench.recipes.recipe import Recipe
from bench.recipes.targets import Scene, read_scene
from bench.types import Categories, Sample


def split(data: Dataset, recipe: Recipe) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The samples to learn from, and those held back: evenly spaced, since a split is sorted by city."""
    if "panoptic" not in data.carries:
        carried = " and ".join(data.carries)
        raise UsageError(
            f"{data.name} has {carried} labels only, and training needs instances; "
            "train on a data set that carries panoptic labels, such as cityscapes or minicity"
        )
    samples, held_back = data.samples, recipe.held_back
    if not 0 < held_back < len(samples):
        raise UsageError(f"held_back: {held_back} of {len(samples)} scenes leaves none to learn from or to check")
    held = set(_spaced(len(samples), held_back))
    learn = [sample for i, sample in enumerate(samples) if i not in held]
    if recipe.images is not None:
        if not 0 < recipe.images <= len(learn):
            raise UsageError(f"images: {recipe.images} of the {len(learn)} scenes that are not held back")
        learn = [learn[i] for i in _spaced(len(learn), recipe.images)]
    return learn, [samples[i] for i in sorted(held)]


def _spaced(count: int, wanted: int) -> list[int]:
    return [i * count // wanted for i in range(wanted)]


def scaled(scene: Scene, longest_edge: int) -> Scene:
    """The scene with its longer side at `longest_edge` px: the image bilinear, the targets nearest."""
    height, width = scene.index.shape
    factor = longest_edge / max(height, width)
    if factor == 1:
        return scene
    to = (max(1, round(width * factor)), max(1, round(height * factor)))
    rgb = PilImage.fromarray(scene.rgb).resize(to, PilImage.Resampling.BILINEAR, reducing_gap=3.0)
    index = PilImage.fromarray(scene.index).resize(to, PilImage.Resampling.NEAREST)
    return Scene(np.asarray(rgb), np.asarray(index), scene.classes)


@dataclass(eq=False)
class Scenes:
    """Scenes by their number, kept decoded as long as `budget` bytes last. Read from several threads."""

    samples: Sequence[Sample]
    categories: Categories
    longest_edge: int | None
    budget: int
    kept: dict[int, Scene] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, number: int) -> Scene:
        if (known := self.kept.get(number)) is not None:
            return known
        scene = read_scene(self.samples[number], self.categories)
        if self.longest_edge is not None:
            scene = scaled(scene, self.longest_edge)
        size = scene.rgb.nbytes + scene.index.nbytes
        if size <= self.budget:
            self.budget -= size
            self.kept[number] = scene
        return scene
