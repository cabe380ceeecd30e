"""Named presets: the rules that turn outputs of a model into segments, with their thresholds."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bench.errors import UsageError

FUSION_VERSION = 1  # goes up with every change that moves a pixel
RULES = ("mask2former", "maskformer", "detr", "hf", "efficientps", "framework", "none")


@dataclass(frozen=True)
class FusionSpec:
    """Fusion rule and its thresholds; part of a run's identity.

    A query is selected if its class score is > `score_threshold`. The number of pixels that it wins, divided by the
    number of its pixels with mask probability >= `mask_threshold`, must reach `overlap_threshold` (`detr` has no such
    test: it drops segments under `min_area_px` instead). `framework` passes these thresholds to the framework's own
    code (`min_area_px` for stuff); `none` is a user's adapter that reads no thresholds. Only `hf` reads `inner_size`,
    the fixed (h, w) to which transformers first resizes mask logits, and `fuse_stuff`, whether the stuff classes are
    passed as its `label_ids_to_fuse`.

    `efficientps` takes instances and a semantic map instead of queries. An instance is dropped if more than
    `overlap_threshold` of its mask is taken by better ones; stuff under `min_area_px` is void. With `confined`,
    instances win pixels in their boxes only; in the authors' code they are not confined.
    """

    rule: str
    score_threshold: float
    overlap_threshold: float = 0.0
    mask_threshold: float = 0.5
    min_area_px: int = 0
    inner_size: tuple[int, int] | None = None
    fuse_stuff: bool = True
    confined: bool = False

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise UsageError(f"unknown fusion rule {self.rule!r}; there are: {', '.join(RULES)}")
        for name in ("score_threshold", "overlap_threshold", "mask_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"fusion {name} must lie in 0..1, not {getattr(self, name)}")


# Thresholds of the papers' COCO and Cityscapes configurations. `hf` is what transformers does for Mask2Former, with its
# defaults; for DETR, MaskFormer and OneFormer it leaves out the inner size: `hf-direct`.
# `cascade` is EfficientPS's rule for models that were not trained together, whose stuff logits have no common zero.
PRESETS: Mapping[str, FusionSpec] = MappingProxyType(
    {
        "mask2former": FusionSpec("mask2former", 0.8, 0.8),
        "maskformer": FusionSpec("maskformer", 0.8, 0.8),
        "detr": FusionSpec("detr", 0.85, min_area_px=5),
        "framework": FusionSpec("framework", 0.8, 0.8),
        "hf": FusionSpec("hf", 0.5, 0.8, inner_size=(384, 384)),
        "hf-direct": FusionSpec("hf", 0.5, 0.8),
        "efficientps": FusionSpec("efficientps", 0.5, 0.5, min_area_px=2048),
        "cascade": FusionSpec("efficientps", 0.5, 0.5, min_area_px=2048, confined=True),
        "none": FusionSpec("none", 0.0),
    }
)
