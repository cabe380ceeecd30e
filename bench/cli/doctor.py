"""Installed packages, data sets and weights, found without importing a framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.datasets.registry import read_spec
from bench.errors import BenchError
from bench.io.config import load_yaml, shipped_configs
from bench.models.hub import missing_files, state
from bench.models.model_file import ModelFile
from bench.models.nvml import nvidia_memories
from bench.models.resolve import resolve_model
from bench.models.spec import ModelSpec
from bench.results.memory import machine_memory
from bench.results.provenance import provenance

DRIVER = Path("/proc/driver/nvidia/version")


def examine() -> dict[str, Any]:
    about = provenance()
    packages = {name: version or "not installed" for name, version in about.pop("packages").items()}
    return {**about, **packages, **_memory(), **_data(), **_weights()}


def _memory() -> dict[str, Any]:
    """Return the memory of the machine or container and of NVIDIA devices in bytes, or why that is not known."""
    devices, reason = nvidia_memories()
    found = {f"memory: {number} {one.name}": one.to_json() for number, one in enumerate(devices)}
    # Without a driver there is no such device to miss.
    missing = {"NVIDIA devices": reason} if reason and DRIVER.exists() else {}
    return {"memory": machine_memory().to_json(), **found, **missing}


def _data() -> dict[str, str]:
    found = {}
    for name, path in shipped_configs("datasets").items():
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
    found = {}
    # From the files alone, since importing torch takes longer than everything else here.
    for family, path in shipped_configs("models").items():
        for name in load_yaml(path, ModelFile).checkpoints:
            spec = resolve_model(family, "", checkpoint=name)
            if not spec.parts:
                found[f"weights: {family}/{name}"] = _present(spec)
    return found


def _present(spec: ModelSpec) -> str:
    """Return the download state of a checkpoint, with the command that completes a partial download."""
    if spec.local:
        # A folder without all of its files is an interrupted download.
        local = Path(spec.source)
        if local.is_file() or (local.is_dir() and not missing_files(local)):
            return "there"
        return "not downloaded" if spec.url else "missing"
    here = state(spec.source, spec.revision)
    return f"half (`bench models fetch {spec.name}/{spec.checkpoint}` completes it)" if here == "half" else here
