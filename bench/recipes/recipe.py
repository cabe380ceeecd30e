"""What a training run is made of: the frozen form of configs/train/*.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.errors import UsageError
from bench.model_file import FusionChoice
from bench.recipes.specs import (
    ClassHeadSpec,
    ColorPolicy,
    DenseSpec,
    GeometryPolicy,
    LossSpec,
    OptimizerSpec,
    Phase,
)

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
    fusion: str | FusionChoice | None = None
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
