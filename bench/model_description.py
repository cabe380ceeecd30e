"""What run.json tells of a model."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from bench.adapter import Adapter, adapter_files, torch_threads
from bench.config import plain
from bench.models import ModelSpec, weights_digest
from bench.provenance import code_digest


def model_identity(spec: ModelSpec) -> dict[str, Any]:
    """The specification with the weights' digest in place of the folder that they happen to lie in.

    Where it runs, and how long that may take, do not make another computation of it.
    """
    elsewhere = ["source", "published", "adapter", "needs", "parts", "env", "deadline", "url"]
    if spec.framework is None:
        elsewhere.append("framework")
    stable = {key: value for key, value in plain(spec).items() if key not in elsewhere}
    if spec.framework is not None:  # the digest of the weights covers what a config file says
        stable["framework"]["config"] = Path(spec.framework.config).name
    if spec.parts:
        stable["parts"] = {role: model_identity(part) for role, part in spec.parts.items()}
    return {**stable, "weights": weights_digest(spec), "adapter_code": code_digest(adapter_files(spec))}


def _shown(spec: ModelSpec) -> dict[str, Any]:
    """The specification as run.json has it."""
    parts = {role: _shown(part) for role, part in spec.parts.items()}
    return {**plain(spec), "source": _portable(spec.source), "parts": parts}


def model_facts(spec: ModelSpec, adapter: Adapter, weights: str, device: str) -> dict[str, Any]:
    """What run.json tells of a loaded model beyond its identity."""
    return {
        "model": {**_shown(spec), "weights": weights},
        "device": str(getattr(adapter, "device", device)),
        "threads": getattr(adapter, "threads", torch_threads()),
        "parameters": getattr(adapter, "parameters", None),
        "multiply_adds": None,  # counted when the images are done, so that it warms nothing up for their timings
        "revision": getattr(adapter, "revision", None),
        "worker": getattr(adapter, "worker", None),
    }


def _portable(source: str) -> str:
    """Shipped weights are named by their place in the package, wherever that is installed."""
    package = Path(str(files("bench.adapters")))
    return str(Path(source).relative_to(package)) if Path(source).is_relative_to(package) else source
