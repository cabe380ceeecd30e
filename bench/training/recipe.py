"""Dataclasses of a training recipe (YAML)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.errors import UsageError
from bench.io.config import ConfigName
from bench.models.model_file import FusionOverrides


@dataclass(frozen=True)
class Phase:
    """Phase of a training run, up to the fraction `until` of it.

    A step takes `batch` crops of `crop_px` (height, width), upscaled by `upscale` before the network. `zoom` is the
    probability, and the largest factor, of additional enlargement. `freeze` holds fnmatch patterns of parameter names
    that are frozen in this phase, besides the recipe's. `restart` starts a new learning-rate schedule, which ends at
    the next restart or with the run. `boxes_only` trains DETR without its mask head.
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
        """(height, width) of the network's input."""
        return self.crop_px[0] * self.upscale, self.crop_px[1] * self.upscale


@dataclass(frozen=True)
class OptimizerSpec:
    """Optimizer, and schedule of the learning rate: linear warm-up, then half a cosine down to zero, or constant.

    `backbone_lr` is the learning rate of the backbone; None means `lr`. `ema` is the decay of the averaged weights, 0
    for no averaging.
    """

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
    """Weights and sampling of the loss terms.

    Matching uses `match_points` cells of an image, the mask terms one cell in `cells_per_point`: an `uncertain_share`
    of them are the most uncertain of `oversample` times as many random candidates (PointRend), the rest random.
    `class_weights` maps class names to weights, 1 by default. `focal_gamma` > 0 makes the class term focal (arXiv
    1708.02002).

    DETR only: `box_weight`, `giou_weight`; `masks_per_image`, the number of matched queries of an image that are drawn
    for the mask head at each step, 0 for all; `attention_weight`, of a term that pulls the attention of a query to its
    target.
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
    """Auxiliary head on the mask features, used in training only: class and target centroid of every cell.

    The semantic term is the mean cross entropy of all cells plus that of the hardest `hard_share` of them.
    """

    semantic_weight: float
    centre_weight: float = 0.0
    hard_share: float = 0.2


@dataclass(frozen=True)
class ClassHeadSpec:
    """Hidden layers of the class head. With activation "none" the saved model has them merged into one linear layer."""

    hidden: tuple[int, ...]
    activation: Literal["none", "relu"] = "none"
    dropout: float = 0.0


@dataclass(frozen=True)
class NetworkSpec:
    """Query network on a ResNet of basic blocks. Widths are channels; the strides of the stages are 4, 8, 16, …

    Mask2Former's pixel decoder attends to the last three stages and merges the others as a feature pyramid. DETR and
    MaskFormer attend to the last stage; DETR's mask head needs exactly four stages. `encoder_heads` is the number of
    attention heads in the encoder and in the attention maps of DETR's mask head; None means `heads`.
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
        return self.encoder_heads or self.heads


@dataclass(frozen=True)
class Chance:
    """Probability of a colour operation, and its strength: a factor drawn from 1 ± `strength`."""

    probability: float
    strength: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1 or not 0 <= self.strength < 1:
            raise UsageError(f"probability {self.probability} and strength {self.strength} must lie in 0..1")


@dataclass(frozen=True)
class JpegChance:
    """Probability of JPEG compression, and range of the quality (1..95)."""

    probability: float
    quality: tuple[int, int] = (30, 90)


NEVER = Chance(0.0, 0.0)


@dataclass(frozen=True)
class ColorPolicy:
    """Colour augmentations, drawn independently and applied in random order. `tint` has one factor for each channel."""

    brightness: Chance = Chance(1.0, 0.15)
    tint: Chance = Chance(1.0, 0.03)
    saturation: Chance = NEVER
    contrast: Chance = NEVER
    jpeg: JpegChance = JpegChance(0.0)


@dataclass(frozen=True)
class GeometryPolicy:
    """Probability of a horizontal flip, and range of the scale factor, drawn uniformly before cropping."""

    flip: float = 0.5
    scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1 or not 0 < self.scale[0] <= self.scale[1]:
            raise UsageError(f"geometry: flip {self.flip} must lie in 0..1 and scale {list(self.scale)} must rise")


FamilyName = Literal["mask2former", "maskformer", "detr", "efficientps"]


@dataclass(frozen=True)
class Recipe:
    """Recipe of one training run. Its length is given in `minutes` of wall time, in `steps` or in `epochs`.

    `phases` and `optimizer` say how it learns. The network is `network` (keys depend on the family) with random
    weights, or that of the checkpoint `init`: a name in the family's models YAML, or a folder (`./…`). With both,
    tensors of `init` with the same name and shape are copied. `held_back` images of the split are used for validation
    only, `images` for training; None means all others. Images are resized to `longest_edge` px, if given. `at_once` is
    the micro-batch size: images that go through the network together, "auto" as many as fit into memory; gradients are
    accumulated up to the batch of the phase. On the CPU `threads` replicas share a batch; `workers` threads prepare
    images, and up to `memory_gb` of decoded images stay in memory. PQ on the held-back images is measured `checkpoints`
    times, with `fusion`: a preset, or overrides of the family's preset.
    """

    dataset: ConfigName
    held_back: int
    phases: tuple[Phase, ...]
    optimizer: OptimizerSpec
    family: FamilyName = "mask2former"
    network: Mapping[str, Any] | None = None
    init: ConfigName | None = None
    loss: LossSpec = field(default_factory=LossSpec)
    dense: DenseSpec | None = None
    class_head: ClassHeadSpec | None = None
    freeze: tuple[str, ...] = ()
    images: int | None = None
    longest_edge: int | None = None
    geometry: GeometryPolicy = field(default_factory=GeometryPolicy)
    color: ColorPolicy = field(default_factory=ColorPolicy)
    fusion: str | FusionOverrides | None = None
    minutes: float | None = None
    steps: int | None = None
    epochs: float | None = None
    seed: int = 0
    at_once: int | Literal["auto"] = "auto"
    precision: Literal["no", "bf16", "fp16"] = "no"
    threads: int = 2
    workers: int = 1
    memory_gb: float = 4.0
    log_every_steps: int = 50
    checkpoints: int = 6
    save_minutes: float = 5.0
    weights: Literal["fp16", "fp32"] = "fp16"

    def __post_init__(self) -> None:
        if [self.minutes, self.steps, self.epochs].count(None) != 2:
            raise UsageError("a training recipe needs either minutes or steps or epochs")
        if self.network is None and self.init is None:
            raise UsageError("a training recipe needs a network, or a checkpoint to begin with in `init`")
        if not self.phases:
            raise UsageError("phases: a training recipe needs at least one")
        if [p.until for p in self.phases] != sorted({p.until for p in self.phases}) or self.phases[-1].until < 1:
            raise UsageError("phases: `until` must rise, and reach 1 in the last phase")
        if self.at_once != "auto" and self.at_once < 1:
            raise UsageError(f"at_once must be auto or at least 1, not {self.at_once}")

    def phase(self, done: float) -> Phase:
        return next((phase for phase in self.phases if done < phase.until), self.phases[-1])

    def within_schedule(self, done: float) -> float:
        """Return the fraction of the current learning-rate schedule at the fraction `done` of the run."""
        starts, begin, end = [0.0, *(p.until for p in self.phases)], 0.0, 1.0
        restarts = [start for start, phase in zip(starts, self.phases, strict=False) if phase.restart]
        for at in restarts:
            begin, end = (at, end) if at <= done else (begin, min(end, at))
        return min(1.0, (done - begin) / (end - begin))

    @property
    def upscale(self) -> int:
        """Upscale factor of the exported model: that of the last phase."""
        return self.phases[-1].upscale
