"""Adapter of EfficientPS: its network, and the fusion of its semantic and instance heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.adapters.hub import fetch
from bench.adapters.transformers_models import (
    Batch,
    autocast,
    check_names,
    compiled,
    normalized,
    pad_batch,
    resized,
    scaled_size,
)
from bench.errors import ModelError
from bench.models.devices import pick_device, to_device
from bench.models.spec import ModelSpec
from bench.types import Image, Prediction

VERSION = 1  # goes up with every change that moves a pixel of these models


@dataclass(frozen=True, eq=False)
class Output:
    """Network output of one image, on the CPU; sizes are (H, W) in pixels of its padded and unpadded input."""

    found: Any
    padded_size: tuple[int, int]
    image_size: tuple[int, int]


class EfficientPS:
    """The network of `bench.adapters.efficientps.network`, loaded from a training folder or the hub."""

    def __init__(self, spec: ModelSpec, device: str = "auto") -> None:

        from bench.adapters.efficientps.storage import load

        self.spec = spec
        self.categories = spec.space
        self.device = pick_device(device)
        folder = Path(spec.source) if spec.local else fetch(spec.source, spec.revision)
        # The hub's cache names the folder of a snapshot by its commit.
        self.revision = None if spec.local else folder.name
        self.model = load(folder).to(self.device)
        self.compiled = spec.compile
        self.network = compiled(self.model, self.device) if spec.compile else self.model
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        check_classes(spec, self.model.names, self.model.things)

    def preprocess(self, image: Image) -> NDArray[np.float32]:
        """Return (3, h, w) float32, resized to the spec's input size and normalized."""
        pixels: NDArray[np.float32] = normalized(resized(image.rgb, scaled_size(image.size, self.spec.input)))
        return pixels

    def collate(self, batch: Sequence[NDArray[np.float32]]) -> Batch:
        """Pad images to one size (bottom and right) and copy them to the device."""
        import torch

        padded, real = pad_batch(batch, self.spec.input.divisor, np.zeros(3, dtype=np.float32))
        (pixels,) = to_device([torch.from_numpy(padded)], self.device)
        return Batch(pixels, real, [(image.shape[1], image.shape[2]) for image in batch])

    def infer(self, batch: Batch | Sequence[NDArray[np.float32]]) -> list[Output]:
        """Run the network. Images that are not collated yet are collated first."""
        import torch

        batch = batch if isinstance(batch, Batch) else self.collate(batch)
        with torch.inference_mode(), autocast(self.device, self.spec.precision):
            found = self.network(batch.pixels)
        size = int(batch.pixels.shape[2]), int(batch.pixels.shape[3])
        return [Output(one.cpu(), size, own) for one, own in zip(found, batch.sizes, strict=True)]

    def semantic_logits(self, output: Output, size: tuple[int, int]) -> Any:
        """Return (C, H, W) float32 logits at the original image size."""
        import torch

        from bench.fusion.logits import ImageGeometry, to_target

        geometry = ImageGeometry(output.padded_size, output.image_size, size)
        return torch.stack([to_target(logits, geometry) for logits in output.found.semantic])

    def instances(self, output: Output, size: tuple[int, int]) -> Any:
        """Return the `Instances`, with boxes in pixels of the original image of `size` (H, W)."""
        from bench.fusion.semantic_instance import Instances

        found = output.found
        (height, width), (own_height, own_width) = size, output.image_size
        scale = found.boxes.new_tensor([width / own_width, height / own_height] * 2)
        return Instances(found.scores, found.labels, found.boxes * scale, found.masks)

    def postprocess(self, output: Output, size: tuple[int, int]) -> Prediction:
        from bench.fusion.semantic_instance import fuse_instances, semantic_map

        logits = self.semantic_logits(output, size)
        panoptic = fuse_instances(logits, self.instances(output, size), self.categories, self.spec.fusion)
        return Prediction(panoptic, semantic_map(logits, self.categories) if self.spec.semantic else None)


def check_classes(spec: ModelSpec, names: Sequence[str], things: Sequence[int]) -> None:
    """Raise ModelError if the checkpoint's classes, their order or its things differ from those of the label space."""
    if len(names) != len(spec.space):
        raise ModelError(f"{spec.source}: {len(names)} classes, but {spec.categories} has {len(spec.space)}")
    check_names(spec.source, names, spec.categories, spec.space)
    wanted = [i for i, category in enumerate(spec.space) if category.isthing]
    if list(things) != wanted:
        raise ModelError(f"{spec.source}: the classes {list(things)} have instances, in {spec.categories} {wanted}")
