"""Schema of configs/models/*.yaml: a model family, its checkpoints, and the sources of their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bench.datasets.label_spaces import Labels
from bench.errors import UsageError
from bench.fusion.presets import PRESETS, FusionSpec
from bench.io.canonical_json import to_plain
from bench.io.config import AdapterName, ConfigName, FilePath, NameOrPath, Settings, did_you_mean

MAX_SIDE, MAX_DIVISOR = 1 << 15, 1 << 12  # px

PublishedRule = Literal["coco", "strict", "torchmetrics", "eomt", "unknown"]


@dataclass(frozen=True)
class Published:
    """Published metrics of a checkpoint, as fractions of one, and their source.

    `rule` is the evaluator that computed the PQ; results of two rules are not comparable. "coco" is panopticapi, which
    detectron2 and mmdetection use; "strict" our own protocol; "torchmetrics" its `PanopticQuality`, which ignores
    ground truth under predicted void; "eomt" EoMT's own validation, which counts areas and crowd regions otherwise.
    "unknown" if the source names no evaluator.
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
    """Test-time scale in pixels: the shorter side, limited by the longer one; padded to a multiple of `divisor`.

    Both sides are 0 for a user's adapter whose YAML names no size.
    """

    shorter: int
    longer: int
    divisor: int = 32

    def __post_init__(self) -> None:
        if (self.shorter, self.longer) != (0, 0) and not (
            1 <= self.shorter <= MAX_SIDE and 1 <= self.longer <= MAX_SIDE and 1 <= self.divisor <= MAX_DIVISOR
        ):
            raise UsageError(
                f"shorter and longer are 1 to {MAX_SIDE} px and divisor is 1 to {MAX_DIVISOR}, "
                f"not {self.shorter}, {self.longer} and {self.divisor}"
            )


@dataclass(frozen=True)
class FusionOverrides:
    """A preset of `bench.fusion.presets`, and thresholds that replace its own."""

    preset: str | None = None
    score_threshold: float | None = None
    overlap_threshold: float | None = None
    mask_threshold: float | None = None
    min_area_px: int | None = None
    confined: bool | None = None

    def apply(self, fusion: FusionSpec) -> FusionSpec:
        """Return `fusion`, or the named preset, with these overrides."""
        if self.preset is not None and self.preset not in PRESETS:
            raise UsageError(f"there is no fusion preset {self.preset!r}; {did_you_mean(self.preset, PRESETS)}")
        base = PRESETS[self.preset] if self.preset else fusion
        thresholds = {name: value for name, value in to_plain(self).items() if name != "preset" and value is not None}
        return replace(base, **thresholds)


@dataclass(frozen=True)
class Submodel:
    """A model inside a composed one, with its own checkpoint; `set` has the form of `--set` for its YAML."""

    model: ConfigName
    checkpoint: NameOrPath | None = None
    set: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Submodels:
    """The two models of a composed one."""

    semantic: Submodel
    instances: Submodel


@dataclass(frozen=True)
class FrameworkConfig:
    """Settings of detectron2 and mmdetection besides weights.

    `config` is a name in the framework's collection, or a file; `set` overrides it by dotted keys. `stand-in` replaces
    missing compiled operators by plain torch. `trust_pickle` loads the checkpoint with pickle, which runs its code.
    """

    config: NameOrPath
    set: Mapping[str, Any] = field(default_factory=dict)
    compiled_ops: Literal["compiled", "stand-in"] = "compiled"
    trust_pickle: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """The source of weights, and the label space of their classes.

    One of: a hub `repo` (at a `revision`); a local `path`, from the folder of the YAML; a `url`, downloaded by the user
    into the cache; the `parts` of a composed model, with weights and input sizes of their own. A model without weights
    has `weights: none` and may have none of them. `input` may be missing for a user's adapter that reads no size.

    `needs` is extra → packages beyond those that every model needs. A run's identity covers the content of `files`
    below the path, or of all files if none are listed.
    """

    categories: Labels
    input: InputSize | None = None
    repo: str | None = None
    revision: str | None = None
    path: FilePath | None = None
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
        if self.input is not None and self.parts is not None:
            raise UsageError("a checkpoint of parts has the sizes of their inputs; leave `input` out")


@dataclass(frozen=True)
class CheckpointFolder:
    """Settings of a checkpoint folder (bench.json, which training writes). `model` is the name of its family."""

    categories: Labels
    input: InputSize
    fusion: FusionOverrides = FusionOverrides()
    files: tuple[str, ...] = ()
    model: str = ""


@dataclass(frozen=True)
class ModelFile:
    """A model family; its YAML in configs/models is its registration.

    `adapter` is `module:Class` of the adapters that ship, or `./file.py:Class`. `fusion` holds for all checkpoints; a
    user's adapter that fuses by itself needs none. `defaults` is data set → checkpoint, needless if there is only one;
    `folders` is data set → settings of a user's checkpoint folder for it. `method` is shown beside results.
    `env` is an environment (`bench env`) or the path of an interpreter in which the model runs as a worker; `deadline`
    is the time limit of one call to the worker, in seconds.
    `postprocess` is where logits of queries become segments: on the CPU, or on the model's device, which rounds in its
    own way; `auto` is the model's device.
    `reads` are files and folders beside the YAML that a user's adapter reads without importing them; a run's identity
    covers their content.
    `licence` (of the weights) and `tested` (how, here) are shown in the model table of the documentation.
    """

    adapter: AdapterName
    checkpoints: Mapping[str, Checkpoint]
    title: str = ""
    method: Literal["", "shared-backbone", "explicit", "one-shot", "cascade"] = ""
    fusion: FusionOverrides = FusionOverrides()
    defaults: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, CheckpointFolder] = field(default_factory=dict)
    env: NameOrPath | None = None
    deadline: float = 300.0
    postprocess: Literal["auto", "cpu", "device"] = "auto"
    reads: tuple[FilePath, ...] = ()
    licence: str | None = None
    tested: str | None = None
