"""What the demo compares: every model that has trained weights for a data set in this package."""

from __future__ import annotations

from pathlib import Path

from bench.config import shipped
from bench.errors import ModelError
from bench.models import ModelSpec, resolve_model, weights_file


def shipped_models(dataset: str) -> list[ModelSpec]:
    """The families of configs/models whose usual checkpoint for `dataset` is a folder in adapters/weights, by name."""
    found = (_usual(family, dataset) for family in shipped("models"))
    return [spec for spec in found if spec is not None and _has_weights(spec)]


def _usual(family: str, dataset: str) -> ModelSpec | None:
    try:
        return resolve_model(family, dataset)
    except ModelError:  # no checkpoint for this data set
        return None


def _has_weights(spec: ModelSpec) -> bool:
    """In this package, not in a cache or an environment of another framework; a model of two others has none."""
    return spec.local and not spec.parts and spec.env is None and weights_file(Path(spec.source)) is not None
