"""The dataclasses of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.errors import UsageError
from bench.models.model_file import FusionOverrides


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


FamilyName = Literal["mask2former", "maskformer", "detr", "efficientps"]


@dataclass(frozen=True)
class Recipe:
    """One training run. Its length is `minutes` of wall time, a number of `steps`, or of `epochs`.

    The network is `network` (what that may hold is the family's) with random weights, or the one of the checkpoint
    `init`: a name that the family's models YAML knows, or a folder. With both, what fits of `init` is carried over.
    `images` of the split are used, beside `held_back` that are never learned from. Scenes are scaled to
    `longest_edge` px where it is given. `at_once` images go through the network together, `auto` as many as the
    memory takes; a step's batch is the phase's all the same. On the CPU `threads` replicas share a batch; `workers`
    threads prepare images ahead, and up to `memory_gb` of scenes are kept decoded. PQ on the scenes held back is
    measured `checkpoints` times, with the `fusion` (a preset, or thresholds that differ from the family's).
    """

    dataset: str
    held_back: int
    phases: tuple[Phase, ...]
    optimizer: OptimizerSpec
    family: FamilyName = "mask2former"
    network: Mapping[str, Any] | None = None
    init: str | None = None
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
        """The phase at the fraction `done` of the run."""
        return next((phase for phase in self.phases if done < phase.until), self.phases[-1])

    def within_schedule(self, done: float) -> float:
        """The fraction of the current learning-rate schedule at the fraction `done` of the run."""
        starts, begin, end = [0.0, *(p.until for p in self.phases)], 0.0, 1.0
        restarts = [start for start, phase in zip(starts, self.phases, strict=False) if phase.restart]
        for at in restarts:
            begin, end = (at, end) if at <= done else (begin, min(end, at))
        return min(1.0, (done - begin) / (end - begin))

    @property
    def upscale(self) -> int:
        """How much a scene is enlarged in use: as in the last phase."""
        return self.phases[-1].upscale
