"""The parts of a training recipe: frozen, checked once, each with its units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.errors import UsageError


@dataclass(frozen=True)
class Phase:
    """Until this fraction of the run, `batch` crops of `crop_px` (height, width) a step, enlarged `upscale`
    times before the network. `zoom` says how often, and at most how many times, a scene is seen nearer.

    `freeze` are patterns of parameter names that rest in this phase, beside the recipe's own. `restart` begins the
    schedule of the learning rate anew, which then ends where the next restart or the run does. `boxes_only`
    leaves DETR's mask head out.
    """

    until: float
    crop_px: tuple[int, int]
    batch: int
    upscale: int = 1
    zoom: tuple[float, float] = (0.0, 1.0)
    freeze: tuple[str, ...] = ()
    restart: bool = False
    boxes_only: bool = False

    def __post_init__(self) -> None:
        if self.upscale not in (1, 2, 4):
            raise UsageError(f"phases: `upscale` must be 1, 2 or 4, not {self.upscale}")
        if self.batch < 1 or min(self.crop_px) < 1:
            raise UsageError(f"phases: batch {self.batch} and crop_px {list(self.crop_px)} must be positive")

        if not 0 <= self.zoom[0] <= 1 or self.zoom[1] < 1:
            raise UsageError(f"phases: `zoom` is a probability and a factor of at least 1, not {list(self.zoom)}")

    @property
    def input_px(self) -> tuple[int, int]:
        """(height, width) of what the network sees."""
        return self.crop_px[0] * self.upscale, self.crop_px[1] * self.upscale


@dataclass(frozen=True)
class OptimizerSpec:
    """Warm-up, then half a cosine down to zero, or a constant rate. `backbone_lr` is the backbone's own rate,
    `lr` everybody's where it is null; `ema` the decay of the averaged weights, 0 for none."""

    lr: float
    weight_decay: float = 0.0
    warmup_steps: int = 0
    clip_norm: float = 1.0
    ema: float = 0.0
    name: Literal["adamw", "adam", "sgd"] = "adamw"
    backbone_lr: float | None = None
    momentum: float = 0.9
    schedule: Literal["cosine", "constant"] = "cosine"


@dataclass(frozen=True)
class LossSpec:
    """Weights of the terms. Matching looks at `match_points` cells of an image; the mask terms at one cell
    in `cells_per_point`: an `uncertain_share` of them the least decided of `oversample` times as many.

    `class_weights` are by class name, 1 where none is named. `focal_gamma` > 0 makes the class term focal
    (arXiv 1708.02002); `box_weight` and `giou_weight` are DETR's, and so is `masks_per_image`: so many of an image's
    matched queries, drawn anew at each step, go through its dear mask head; 0 is all of them. `attention_weight` is of
    a term that tells its queries where to look, which is all that the mask head learns of them.
    """

    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    no_object_weight: float = 0.1
    match_points: int = 1024
    cells_per_point: int = 8
    oversample: float = 3.0
    uncertain_share: float = 0.75
    focal_gamma: float = 0.0
    class_weights: Mapping[str, float] = field(default_factory=dict)
    box_weight: float = 5.0
    giou_weight: float = 2.0
    masks_per_image: int = 0
    attention_weight: float = 0.0


@dataclass(frozen=True)
class DenseSpec:
    """An auxiliary head that only training has, on the mask features: the class of every cell (cross entropy, its
    mean and that of the hardest `hard_share` of the cells), and where the middle of its target is."""

    semantic_weight: float
    centre_weight: float = 0.0
    hard_share: float = 0.2


@dataclass(frozen=True)
class ClassHeadSpec:
    """Hidden layers of the class head. Without an activation the trained layers are multiplied out to the one
    matrix that the plain architecture has."""

    hidden: tuple[int, ...]
    activation: Literal["none", "relu"] = "none"
    dropout: float = 0.0


@dataclass(frozen=True)
class NetworkSpec:
    """A query network on a ResNet of basic blocks. Widths are channels; the stages' strides are 4, 8, 16, …

    Mask2Former's pixel decoder attends on the last three stages, the others join as in a feature pyramid.
    DETR and MaskFormer attend on the last stage, DETR's mask head takes exactly four. `encoder_heads` are the
    encoder's where it has not as many as the decoder, and those by which DETR's mask head learns where a query looks.
    """

    stem_width: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    feature_width: int
    query_width: int
    queries: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    feedforward: int
    dropout: float = 0.0
    encoder_heads: int | None = None

    @property
    def looking_heads(self) -> int:
        """The heads of the encoder."""
        return self.encoder_heads or self.heads


@dataclass(frozen=True)
class Chance:
    """How often an operation is drawn, and how far it goes: a factor within 1 ± `strength`."""

    probability: float
    strength: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1 or not 0 <= self.strength < 1:
            raise UsageError(f"probability {self.probability} and strength {self.strength} must lie in 0..1")


@dataclass(frozen=True)
class JpegChance:
    """How often an image is compressed, and the range of the quality (1..95)."""

    probability: float
    quality: tuple[int, int] = (30, 90)


NEVER = Chance(0.0, 0.0)


@dataclass(frozen=True)
class ColorPolicy:
    """Which changes of colour are drawn for an image, each for itself, in random order. `tint` is a factor of
    each channel's own. Labels stay as they are."""

    brightness: Chance = Chance(1.0, 0.15)
    tint: Chance = Chance(1.0, 0.03)
    saturation: Chance = NEVER
    contrast: Chance = NEVER
    jpeg: JpegChance = JpegChance(0.0)


@dataclass(frozen=True)
class GeometryPolicy:
    """Mirroring, and scaling by a factor drawn evenly from `scale` with the crop."""

    flip: float = 0.5
    scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1 or not 0 < self.scale[0] <= self.scale[1]:
            raise UsageError(f"geometry: flip {self.flip} must lie in 0..1 and scale {list(self.scale)} must rise")
