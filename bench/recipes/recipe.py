"""What a training run is made of: the frozen form of configs/train/*.yaml."""

from __future__ import annotations

from dataclasses import dataclass

from bench.errors import UsageError


@dataclass(frozen=True)
class Phase:
    """Until this fraction of the run, `batch` crops of `crop_px` (height, width) a step, enlarged `upscale`
    times before the network."""

    until: float
    crop_px: tuple[int, int]
    batch: int
    upscale: int

    @property
    def cell_px(self) -> int:
        """Side of a cell of the mask logits, in scene pixels."""
        return 4 // self.upscale


@dataclass(frozen=True)
class OptimizerSpec:
    """AdamW: warm-up, then half a cosine down to zero. `ema` is the decay of the averaged weights."""

    lr: float
    weight_decay: float
    warmup_steps: int
    clip_norm: float
    ema: float


@dataclass(frozen=True)
class LossSpec:
    """Weights of the terms. Matching looks at `match_points` cells of an image; the mask terms at one cell
    in `cells_per_point`: an `uncertain_share` of them the least decided of `oversample` times as many."""

    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    no_object_weight: float = 0.1
    match_points: int = 1024
    cells_per_point: int = 8
    oversample: float = 3.0
    uncertain_share: float = 0.75


@dataclass(frozen=True)
class NetworkSpec:
    """Mask2Former on a ResNet of basic blocks. Widths are channels; the stages' strides are 4, 8, 16, …

    The pixel decoder attends on the last three stages; the others join as in a feature pyramid.
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


@dataclass(frozen=True)
class Recipe:
    """One training run. Its length is either `minutes` of wall time or a number of `steps`."""

    dataset: str
    held_back: int
    network: NetworkSpec
    phases: tuple[Phase, ...]
    optimizer: OptimizerSpec
    loss: LossSpec
    fusion: str
    minutes: float | None = None
    steps: int | None = None
    seed: int = 0
    threads: int = 2
    log_every_steps: int = 50
    checkpoints: int = 6

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise UsageError("a training recipe needs either minutes or steps")
        if not self.phases:
            raise UsageError("a training recipe needs at least one of `phases`")
        wrong = [phase.upscale for phase in self.phases if phase.upscale not in (1, 2, 4)]
        if wrong:
            raise UsageError(f"phases: `upscale` must be 1, 2 or 4, not {wrong[0]}")
        if [p.until for p in self.phases] != sorted({p.until for p in self.phases}) or self.phases[-1].until < 1:
            raise UsageError("phases: `until` must rise, and reach 1 in the last phase")

    def phase(self, done: float) -> Phase:
        """The phase at the fraction `done` of the run."""
        return next((phase for phase in self.phases if done < phase.until), self.phases[-1])

    @property
    def upscale(self) -> int:
        """How much a scene is enlarged in use: as in the last phase."""
        return self.phases[-1].upscale
