"""What is installed and what is at hand, without importing any framework."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bench.config import load_yaml, shipped
from bench.datasets.derived import read_spec
from bench.errors import BenchError
from bench.model_file import ModelFile
from bench.models import resolve_model, weights_file
from bench.provenance import provenance


def examine() -> dict[str, Any]:
    """Item → what was found."""
    about = provenance()
    packages = {name: version or "not installed" for name, version in about.pop("packages").items()}
    return {**about, **packages, **_data(), **_weights()}


def _data() -> dict[str, str]:
    found = {}
    for name, path in shipped("datasets").items():
        spec = read_spec(path)
        if spec.embedded:
            found[f"data: {name}"] = "embedded"
            continue
        try:
            root = spec.locate(name, None)
        except BenchError:
            found[f"data: {name}"] = f"no root ({', '.join(spec.roots)} not set)"
            continue
        found[f"data: {name}"] = f"{root} ({'there' if root.is_dir() else 'no such folder'})"
    return found


def _weights() -> dict[str, str]:
    """Local checkpoints: there or not. Hub checkpoints: in the cache or not."""
    cache = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")) / "hub"
    found = {}
    for family, path in shipped("models").items():
        for name in load_yaml(path, ModelFile).checkpoints:
            spec = resolve_model(family, "", checkpoint=name)
            if spec.parts:
                continue
            here = cache / f"models--{spec.source.replace('/', '--')}"
            local = Path(spec.source)
            present = (local.is_file() or weights_file(local) is not None) if spec.local else here.is_dir()
            found[f"weights: {family}/{name}"] = (
                "there" if present else ("missing" if spec.local and not spec.url else "not downloaded")
            )
    return found
