"""What makes a run the same run, which is hashed: its name, data, rules and code."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench.config import did_you_mean, digest, plain
from bench.datasets.dataset import Dataset
from bench.errors import UsageError
from bench.evaluate import Metrics
from bench.labels import LabelMap
from bench.maps import described
from bench.metrics.pq import DEVIATIONS, PQ_VERSION, Protocol
from bench.metrics.semantic import SEMANTIC_VERSION
from bench.provenance import code_digest


def run_identity(
    name: str, dataset: Dataset, model: Mapping[str, Any], batch_size: int, protocol: Protocol, metrics: Metrics
) -> dict[str, Any]:
    """What makes a run the same run; an explanation that is computed from its lines later does not."""
    if metrics and "panoptic" not in dataset.carries:
        raise UsageError(f"--metrics {', '.join(metrics)}: {dataset.name} has no instances; leave it out")
    scoring = [
        file for file in _python_files("bench.metrics") if file.stem in ("counted", "pq", "score", "semantic", *metrics)
    ]
    return {
        "name": name,
        "model": dict(model),
        "dataset": {
            "name": dataset.name,
            "split": dataset.split,
            "images": len(dataset.samples),
            "image_ids": digest([sample.image_id for sample in dataset.samples])[:16],
            "categories": plain(dataset.categories.items),
            **({} if dataset.labels is None else {"base": dataset.base, "label_map": described(dataset.labels)}),
        },
        "rules": _rules(dataset, protocol),
        "code": code_digest([*_python_files("bench.fusion"), *scoring]),
        "batch_size": batch_size,
        **({"metrics": sorted(metrics)} if metrics else {}),
    }


def with_map(identity: Mapping[str, Any], labels: LabelMap | None) -> dict[str, Any]:
    """An identity whose predictions are mapped; without a map it stays the one that it was."""
    if labels is None:
        return dict(identity)
    code = code_digest([Path(str(files("bench"))) / "labels.py"])
    return {**identity, "label_map": {**described(labels), "code": code}}


def _rules(dataset: Dataset, protocol: Protocol) -> dict[str, Any]:
    """With the truth, the comparability key: what counts, and how."""
    if protocol not in DEVIATIONS:
        raise UsageError(f"unknown protocol {protocol!r}; {did_you_mean(protocol, DEVIATIONS)}")
    return {
        "categories": digest([(c.id, c.isthing) for c in dataset.categories])[:16],
        "void": digest(sorted(dataset.void))[:16],
        "protocol": protocol,
        "semantic_rule": dataset.semantic_rule,
        "pq_version": PQ_VERSION,
        "semantic_version": SEMANTIC_VERSION,
    }


def _python_files(package: str) -> list[Path]:
    return sorted(Path(str(files(package))).glob("*.py"))
