"""Configuration of the network, as in `config.json` and in a recipe's `network`. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.errors import UsageError

Variant = Literal["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "own"]


@dataclass(frozen=True)
class Stage:
    """`blocks` inverted bottlenecks with `width` output channels and expansion `expand`; the first has `stride`."""

    kernel: int
    stride: int
    expand: int
    width: int
    blocks: int


@dataclass(frozen=True)
class BackboneConfig:
    """EfficientNet `b0` to `b7`, or an `own` list of stages with the channels of stem and head.

    The stem has stride 2. Features at strides 4, 8 and 16 come from the last stage of that stride, at 32 from the head.
    """

    variant: Variant = "b5"
    stem: int | None = None
    stages: tuple[Stage, ...] = ()
    head: int | None = None

    def __post_init__(self) -> None:
        given = self.stem is not None and self.head is not None and bool(self.stages)
        if self.variant == "own" and not given:
            raise UsageError("backbone: the variant own needs stem, stages and head")
        if self.variant != "own" and (self.stem, self.stages, self.head) != (None, (), None):
            raise UsageError(f"backbone: stem, stages and head belong to the variant own, not to {self.variant}")


@dataclass(frozen=True)
class RpnConfig:
    """Region proposals. Anchors have sides of `anchor_scale` strides and height-to-width `ratios`.

    Per image and level, the `candidates` with the best scores go through non-maximum suppression at `nms_iou`; the best
    `proposals` over all levels are kept. Fields with `training_` replace them in training.
    """

    width: int = 256
    separable: bool = False
    anchor_scale: float = 8.0
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    nms_iou: float = 0.7
    candidates: int = 1000
    proposals: int = 1000
    training_candidates: int = 2000
    training_proposals: int = 2000


@dataclass(frozen=True)
class BoxConfig:
    """Box head: classes and boxes of proposals, from `cells`² bins of `sampling`² points, by two layers of `width`.

    A proposal with a side below 2 · `finest_px` is pooled at stride 4, below 4 · `finest_px` at 8, and so on.
    Detections above `score_threshold` go through suppression at `nms_iou`; the best `limit` per image are kept.
    """

    width: int = 1024
    cells: int = 7
    sampling: int = 2
    finest_px: float = 56.0
    stds: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    score_threshold: float = 0.05
    nms_iou: float = 0.5
    limit: int = 100


@dataclass(frozen=True)
class MaskConfig:
    """Mask head: masks of 2 · `cells` pixels per side, after `depth` separable convolutions of `width` channels."""

    width: int = 256
    depth: int = 4
    cells: int = 14
    sampling: int = 2


@dataclass(frozen=True)
class SemanticConfig:
    """Semantic head: `width` channels per level, `cell_width` channels inside the dense prediction cells.

    `dilations` (rows, columns) are those of the entry and the four branches; the last branch follows the third.
    """

    width: int = 128
    cell_width: int = 256
    dilations: tuple[tuple[int, int], ...] = ((1, 6), (1, 1), (6, 21), (18, 15), (6, 3))

    def __post_init__(self) -> None:
        if len(self.dilations) != 5:
            raise UsageError(f"semantic: a dense prediction cell has 5 dilations, not {len(self.dilations)}")


@dataclass(frozen=True)
class TrainingConfig:
    """Parameters of the loss; numbers of samples are per image.

    Semantic: one label per `semantic_stride`² pixels, at a random place; the loss is the mean over the `hard_share` of
    pixels with the highest loss. Anchors are positive from IoU `anchor_positive`, or as the best of a target from
    `anchor_least`, and negative below `anchor_negative`; proposals are positive from `box_positive`.
    """

    semantic_stride: int = 1
    hard_share: float = 0.25
    anchor_positive: float = 0.7
    anchor_negative: float = 0.3
    anchor_least: float = 0.3
    anchor_samples: int = 256
    box_positive: float = 0.5
    box_samples: int = 512
    box_positive_share: float = 0.25
    mask_samples: int = 128
    semantic_weight: float = 1.0
    rpn_objectness_weight: float = 1.0
    rpn_box_weight: float = 1.0
    box_class_weight: float = 1.0
    box_regression_weight: float = 1.0
    mask_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.semantic_stride not in (1, 2, 4):
            raise UsageError(f"training: semantic_stride must be 1, 2 or 4, not {self.semantic_stride}")


@dataclass(frozen=True)
class NetworkConfig:
    """The whole network; defaults are those of the paper. `width` is the number of channels of the feature pyramid."""

    backbone: BackboneConfig = BackboneConfig()
    width: int = 256
    separable_neck: bool = True
    rpn: RpnConfig = RpnConfig()
    box: BoxConfig = BoxConfig()
    mask: MaskConfig = MaskConfig()
    semantic: SemanticConfig = SemanticConfig()
    training: TrainingConfig = TrainingConfig()
