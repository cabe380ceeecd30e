"""configs/models/*.yaml: a family of models, its checkpoints, and where their weights are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bench.errors import UsageError
from bench.fusion.presets import PRESETS, FusionSpec
from bench.io.canonical_json import to_plain
from bench.io.config import did_you_mean

MAX_SIDE, MAX_DIVISOR = 1 << 15, 1 << 12  # px

PublishedRule = Literal["coco", "strict", "torchmetrics", "eomt", "unknown"]


@dataclass(frozen=True)
class Published:
    """What the authors report for a checkpoint, as fractions of one, and where they say it.

    `rule` is the evaluator that computed the PQ, and two rules give one prediction two numbers. "coco" is panopticapi,
    which detectron2 and mmdetection use; "strict" our own protocol; "torchmetrics" its `PanopticQuality`, which leaves
    out truth under predicted void; "eomt" EoMT's own validation, which does so, too, and has crowd regions beside it.
    A source that names no evaluator is "unknown".
    """

    dataset: str
    PQ: float
    source: str
    mIoU: float | None = None
    rule: PublishedRule = "unknown"

    def __post_init__(self) -> None:
        for name, value in (("PQ", self.PQ), ("mIoU", self.mIoU)):
            if value is not None and not 0 <= value <= 1:
                raise UsageError(
                    f"published {name} is a fraction of one, not {value:g}; write {value / 100:g} for percent"
                )


@dataclass(frozen=True)
class InputSize:
    """Test-time scale: the shorter side, unless the longer passes its limit; padded to a multiple (px)."""

    shorter: int
    longer: int
    divisor: int = 32

    def __post_init__(self) -> None:
        if not (1 <= self.shorter <= MAX_SIDE and 1 <= self.longer <= MAX_SIDE and 1 <= self.divisor <= MAX_DIVISOR):
            raise UsageError(
                f"shorter and longer are 1 to {MAX_SIDE} px and divisor is 1 to {MAX_DIVISOR}, "
                f"not {self.shorter}, {self.longer} and {self.divisor}"
            )


@dataclass(frozen=True)
class FusionOverrides:
    """A preset of `bench.fusion.presets`, and thresholds that differ from it."""

    preset: str | None = None
    score_threshold: float | None = None
    overlap_threshold: float | None = None
    mask_threshold: float | None = None
    min_area_px: int | None = None
    confined: bool | None = None

    def apply(self, fusion: FusionSpec | None) -> FusionSpec:
        """The fusion that this choice makes of an earlier one."""
        if self.preset is not None and self.preset not in PRESETS:
            raise UsageError(f"there is no fusion preset {self.preset!r}; {did_you_mean(self.preset, PRESETS)}")
        base = PRESETS[self.preset] if self.preset else fusion
        if base is None:
            raise UsageError("the model's fusion names no preset")
        thresholds = {name: value for name, value in to_plain(self).items() if name != "preset" and value is not None}
        return replace(base, **thresholds)


@dataclass(frozen=True)
class Submodel:
    """A model inside another, with a checkpoint of its own; `set` is what --set would change in its YAML."""

    model: str
    checkpoint: str | None = None
    set: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Submodels:
    """What a composed model is made of."""

    semantic: Submodel
    instances: Submodel


@dataclass(frozen=True)
class FrameworkConfig:
    """What detectron2 and mmdetection need besides weights.

    `config` is a name in the framework's collection, or a file; `set` changes it by dotted keys. `stand-in` puts
    plain torch in the place of compiled operators that are not there. `trust_pickle` loads the checkpoint with
    pickle, which runs whatever its author put in.
    """

    config: str
    set: Mapping[str, Any] = field(default_factory=dict)
    compiled_ops: Literal["compiled", "stand-in"] = "compiled"
    trust_pickle: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """Where weights are, and the space of their classes.

    A hub `repo` (at a `revision`), a local `path`, or a file that the user fetches from a `url` into the cache. Or
    the `parts` of a composed model, which bring weights and input sizes of their own.

    `needs` are packages beyond those that every model needs, by the extra that brings them.

    A run's identity holds the weights' content: the `files` below the path, or all where none are listed.
    `weights: none` is for a model that has none.
    """

    categories: str
    input: InputSize | None = None
    repo: str | None = None
    revision: str | None = None
    path: str | None = None
    url: str | None = None
    framework: FrameworkConfig | None = None
    fusion: FusionOverrides = FusionOverrides()
    published: Published | None = None
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parts: Submodels | None = None
    files: tuple[str, ...] = ()
    weights: Literal["", "none"] = ""

    def __post_init__(self) -> None:
        sources = 4 - [self.repo, self.path, self.url, self.parts].count(None)
        if sources > 1 or (sources == 0 and not self.weights):
            raise UsageError(
                "a checkpoint needs a repo, a path, a url or parts, and one of them alone, or `weights: none`"
            )
        if (self.input is None) == (self.parts is None):
            raise UsageError("a checkpoint needs the size of its input; one of parts has theirs")


@dataclass(frozen=True)
class CheckpointFolder:
    """What a folder given with --checkpoint is taken for; training says it in the folder's bench.json."""

    categories: str
    input: InputSize
    fusion: FusionOverrides = FusionOverrides()
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFile:
    """configs/models/*.yaml: a model family; the YAML is its registration.

    `defaults` are data set → checkpoint, `folders` data set → what somebody's own checkpoint of it is.
    `env` is the environment (`bench env`), or the path of an interpreter, that the model runs in as a worker;
    `deadline` (seconds) is how long the worker may take for one batch before it counts as hung.
    `reads` are files and folders beside the YAML that the user's own adapter reads and no import leads to: their
    content is part of a run's identity.
    `licence` (of the weights) and `tested` (how, here) are for the page of models.
    """

    title: str
    adapter: str
    method: Literal["shared-backbone", "explicit", "one-shot", "cascade"]
    fusion: FusionOverrides
    defaults: Mapping[str, str]
    checkpoints: Mapping[str, Checkpoint]
    folders: Mapping[str, CheckpointFolder] = field(default_factory=dict)
    env: str | None = None
    deadline: float = 300.0
    reads: tuple[str, ...] = ()
    licence: str | None = None
    tested: str | None = None
