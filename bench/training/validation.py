"""Validation on held-back images: PQ through the family's adapter, loss terms, choice of fusion thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.datasets.dataset import Dataset
from bench.datasets.label_spaces import Labels, load_space
from bench.fusion.presets import FusionSpec
from bench.io.canonical_json import to_plain
from bench.io.config import shipped_configs
from bench.io.files import write_json
from bench.metrics.pq import PQStat, PQTable, pq_stat, pq_table, sum_stats
from bench.models.loading import load_model
from bench.models.model_file import CheckpointFolder, FusionOverrides, InputSize
from bench.models.resolve import resolve_model
from bench.models.spec import ModelSpec
from bench.overlap import Overlap
from bench.parallel import ordered_map
from bench.training.data.augment import augment
from bench.training.data.batches import Batch, micro_batch
from bench.training.data.scenes import SampleCache
from bench.training.families.family import Family
from bench.training.gradients import crop_errors
from bench.training.initialization import merge_head_layers
from bench.training.losses.set_loss import class_weights
from bench.training.recipe import NEVER, ColorPolicy, GeometryPolicy, Recipe
from bench.types import Sample

SCORE_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
OVERLAP_THRESHOLDS = (0.5, 0.65, 0.8)


@dataclass(frozen=True, eq=False)
class Validator:
    """Validator: measures a network on `samples` of `data`, through the adapter of its family, on `device`."""

    recipe: Recipe
    family: Family
    data: Dataset
    samples: Sequence[Sample]
    device: str

    @property
    def threads(self) -> int:
        return self.recipe.threads if self.device == "cpu" else 1

    @property
    def fusion(self) -> FusionOverrides:
        """Fusion of the recipe, by default the family's preset."""
        said = self.recipe.fusion
        choice = said if isinstance(said, FusionOverrides) else FusionOverrides(said)
        return replace(choice, preset=choice.preset or self.family.name)

    def export(self, network: Any, folder: Path) -> None:
        """Write the network to a folder that `--checkpoint` accepts."""
        folder.mkdir(parents=True, exist_ok=True)
        height, width = (side * self.recipe.upscale for side in self.samples[0].read_image().size)
        if self.recipe.longest_edge is not None:
            edge = self.recipe.longest_edge * self.recipe.upscale
            size = InputSize(edge, edge, self.family.divisor(network))
        else:
            size = InputSize(min(height, width), max(height, width), self.family.divisor(network))
        half = self.recipe.weights == "fp16"
        self.family.save(merge_head_layers(network, self.family, self.recipe), folder, (height, width), half)
        files = ("config.json", "model.safetensors")
        note = CheckpointFolder(self._labels(), size, self.fusion, files, self.family.name)
        write_json(folder / "bench.json", to_plain(note), indent=2)

    def _labels(self) -> Labels:
        """Return the name of a shipped label space if it is the data set's, else the classes themselves."""
        name = self.data.space
        if name in shipped_configs("labels") and load_space(name).evaluated == self.data.categories:
            return name
        return self.data.categories.items

    def spec(self, folder: Path) -> ModelSpec:
        """Resolve the folder as `bench run --checkpoint` does."""
        return resolve_model(self.family.name, self.data.name, base=self.data.base, checkpoint=str(folder))


def evaluate(validator: Validator, folder: Path, fusions: Sequence[FusionSpec] | None = None) -> list[PQTable]:
    """Return a PQ table of the folder's model for each fusion; None means the model's own fusion."""
    spec = validator.spec(folder)
    adapter: Any = load_model(spec, validator.device)
    posts = [_fused_by(adapter, fusion) for fusion in fusions or [spec.fusion]]

    def one(sample: Sample) -> list[dict[int, PQStat]]:
        # The setting is of the calling thread alone.
        torch.set_num_threads(1)
        image, truth = sample.read_image(), sample.read_target()
        output = adapter.infer([adapter.preprocess(image)])[0]
        predictions = [post.postprocess(output, image.size).panoptic for post in posts]
        return [pq_stat(Overlap.of(truth, prediction)) for prediction in predictions]

    images = list(ordered_map(one, validator.samples, validator.threads))
    return [pq_table(sum_stats(column), validator.data.categories) for column in zip(*images, strict=True)]


def _fused_by(adapter: Any, fusion: FusionSpec) -> Any:
    other = copy(adapter)
    other.spec = replace(adapter.spec, fusion=fusion)
    return other


def candidates(preset: FusionSpec) -> list[FusionSpec]:
    """Return fusions with varied thresholds, the preset first; thresholds that its rule does not use stay unchanged."""
    # DETR's rule has no overlap test.
    overlaps = (preset.overlap_threshold,) if preset.rule == "detr" else OVERLAP_THRESHOLDS
    areas = [preset.min_area_px * share // 16 for share in (16, 4, 1)] if preset.rule == "efficientps" else [0]
    varied = [
        replace(preset, score_threshold=score, overlap_threshold=overlap, min_area_px=area or preset.min_area_px)
        for score in SCORE_THRESHOLDS
        for overlap in overlaps
        for area in areas
    ]
    # The preset first: it is kept if no other has a higher PQ, since `max` takes the first of equals.
    return list(dict.fromkeys([preset, *varied]))


def choose_fusion(validator: Validator, folder: Path) -> tuple[FusionSpec, PQTable]:
    """Return the candidate fusion with the highest PQ, and its PQ table."""
    tried = candidates(validator.spec(folder).fusion)
    tables = evaluate(validator, folder, tried)
    best = max(range(len(tried)), key=lambda i: tables[i].groups.all.PQ or 0.0)
    return tried[best], tables[best]


@torch.no_grad()
def held_back_loss(validator: Validator, network: Any) -> dict[str, float]:
    """Return the terms of the family's loss, averaged over the held-back images.

    Images are cropped as in the last phase, without colour augmentation, flip or zoom.
    """
    recipe, family, phase = (
        validator.recipe,
        validator.family,
        replace(validator.recipe.phases[-1], batch=1, zoom=(0.0, 1.0)),
    )
    still = replace(recipe, geometry=GeometryPolicy(0.0), color=ColorPolicy(NEVER, NEVER))
    scenes = SampleCache(validator.samples, validator.data.categories, recipe.longest_edge, 0)
    device, weights = torch.device(validator.device), class_weights(recipe.loss, validator.data.categories)
    network.eval()

    def one(number: int) -> dict[str, float]:
        torch.set_num_threads(1 if validator.device == "cpu" else recipe.threads)
        rng = np.random.default_rng([recipe.seed, 3, number])
        pixels, cells = augment(scenes.read(number), still, phase, family.stride, rng)
        batch = Batch(pixels[None], (cells,), (number,), phase, 1, 1)
        with crop_errors(batch):
            terms = family.losses(network, micro_batch(batch, [0], device, recipe.seed), recipe, weights).terms
        return {name: value.item() for name, value in terms.items()}

    each = list(ordered_map(one, range(len(scenes)), validator.threads))
    return {name: sum(terms[name] for terms in each) / len(each) for name in each[0]}
