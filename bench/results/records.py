"""Records of run.json and done.json: the keys that are read. Others may be there; they are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.errors import UsageError
from bench.metrics.score import Score
from bench.types import Category


@dataclass(frozen=True)
class InputRecord:
    """Size that images are resized to, in pixels."""

    shorter: int
    longer: int


@dataclass(frozen=True)
class PublishedRecord:
    """PQ that the authors of a checkpoint report on a data set, as a fraction."""

    dataset: str
    PQ: float | None
    source: str | None


@dataclass(frozen=True)
class ModelRecord:
    """Model of a run. `name` is its family, `weights` the digest of its files, `fusion` its rule with the settings.

    `changed` are settings that were given for this run in place of the model's own.
    """

    method: str
    checkpoint: str
    precision: str
    input: InputRecord
    fusion: Mapping[str, Any]
    published: PublishedRecord | None
    source: str | None = None
    local: bool = False
    files: tuple[str, ...] = ()
    weights: str | None = None
    name: str = ""
    changed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.fusion.get("rule"), str):
            raise UsageError("fusion: the key 'rule' is missing, or is no text")


@dataclass(frozen=True)
class PredictionsRecord:
    """Predictions made elsewhere, by their digest."""

    predictions: str


@dataclass(frozen=True)
class LabelMapRecord:
    """Label map, by its digest; `names` maps source class → evaluated class, None for void."""

    sha256: str
    names: Mapping[str, str | None]


@dataclass(frozen=True)
class CorruptionRecord:
    """Corruption of the pictures of a run."""

    name: str
    strength: int
    version: int
    library: str | None = None

    def __str__(self) -> str:
        return f"{self.name}:{self.strength}"


@dataclass(frozen=True)
class DatasetRecord:
    """Data set of a run. `image_ids` is the digest of its image ids in their order."""

    name: str
    split: str
    categories: tuple[Category, ...]
    images: int | None = None
    image_ids: str | None = None
    label_map: LabelMapRecord | None = None
    corruption: CorruptionRecord | None = None


@dataclass(frozen=True)
class GitState:
    """Commit of a checkout, and whether its tree had changes on top."""

    commit: str
    dirty: bool


@dataclass(frozen=True)
class Provenance:
    """Code version, packages and machine that computed a run."""

    git: GitState | None
    bench: str | None = None
    python: str | None = None
    packages: Mapping[str, str | None] = field(default_factory=dict)
    processor: str | None = None
    platform: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunMetadata:
    """Settings and provenance of a run: run.json. `origin` are the options that open its data set again."""

    format: Literal[1]
    name: str
    model: PredictionsRecord | ModelRecord
    dataset: DatasetRecord
    rules: Mapping[str, Any] = field(default_factory=dict)
    label_map: LabelMapRecord | None = None
    metrics: tuple[str, ...] = ()
    batch_size: int | None = None
    device: str | None = None
    threads: int | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    worker: Mapping[str, Any] | None = None
    unlisted_modules: tuple[str, ...] | None = None
    provenance: Provenance | None = None
    command: tuple[str, ...] | None = None
    origin: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """Totals, checksum and comparability key of a complete run: done.json."""

    finished: str
    images_sha256: str
    key: Mapping[str, Any]
    score: Score
