"""A semantic model and an instance model, composed to one panoptic model.

Any adapter works. If it has `semantic_logits(output, size)` or `instances(output, size)`, as EfficientPS has, these
are fused; otherwise its final maps are: the semantic map, and the things of the panoptic map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.errors import UsageError
from bench.models.adapter import Adapter
from bench.models.flops import count_macs
from bench.models.loading import load_adapter
from bench.models.spec import ModelSpec
from bench.types import Image, Prediction

VERSION = 1  # goes up with every change that moves a pixel of these models


class Compose:
    """The submodels `semantic` and `instances` of a checkpoint, with separate input sizes. Both run on every image."""

    def __init__(self, spec: ModelSpec, device: str = "auto") -> None:
        if not spec.parts:
            raise UsageError(f"{spec.name}/{spec.checkpoint}: compose needs a checkpoint with parts, not weights")
        self.spec, self.categories = spec, spec.space
        self.semantic = load_adapter(spec.parts["semantic"], device)
        self.instances = load_adapter(spec.parts["instances"], device)
        self.device = str(getattr(self.semantic, "device", device))
        sizes = [getattr(part, "parameters", None) for part in (self.semantic, self.instances)]
        self.parameters = None if None in sizes else sum(size or 0 for size in sizes)

    def multiply_adds(self, image: Image) -> int | None:
        """Return the sum over both submodels, or None if one of them cannot be counted."""
        counts = [count_macs(part, image) for part in (self.semantic, self.instances)]
        return None if None in counts else sum(count or 0 for count in counts)

    def preprocess(self, image: Image) -> tuple[Any, Any]:
        return self.semantic.preprocess(image), self.instances.preprocess(image)

    def infer(self, batch: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        semantic = self.semantic.infer([first for first, _ in batch])
        instances = self.instances.infer([second for _, second in batch])
        return list(zip(semantic, instances, strict=True))

    def postprocess(self, output: tuple[Any, Any], size: tuple[int, int]) -> Prediction:
        from bench.fusion.semantic_instance import fuse_instances, semantic_map

        logits = semantic_logits(self.semantic, output[0], size)
        instances = found_instances(self.instances, output[1], size)
        panoptic = fuse_instances(logits, instances, self.categories, self.spec.fusion)
        return Prediction(panoptic, semantic_map(logits, self.categories) if self.spec.semantic else None)


def semantic_logits(adapter: Adapter, output: Any, size: tuple[int, int]) -> Any:
    """Return (C, H, W) logits: the adapter's own, else from its semantic map, else from its panoptic map."""
    from bench.fusion.hard_labels import logits_of, semantic_of

    # Logits keep what an argmax has lost: how sure the model is, which the fusion weighs.
    if hasattr(adapter, "semantic_logits"):
        return adapter.semantic_logits(output, size)
    prediction = adapter.postprocess(output, size)
    decided = semantic_of(prediction.panoptic) if prediction.semantic is None else prediction.semantic
    return logits_of(decided, adapter.categories)


def found_instances(adapter: Adapter, output: Any, size: tuple[int, int]) -> Any:
    """Return `Instances`: the adapter's own, else the things of its panoptic map."""
    from bench.fusion.hard_labels import instances_of

    if hasattr(adapter, "instances"):
        return adapter.instances(output, size)
    return instances_of(adapter.postprocess(output, size).panoptic, adapter.categories)
