"""The identity of a run: the content that it is computed from, and the rules. Its digest names the run's folder.

It covers the bytes of images, ground truth, predictions and weights, the label tables and maps, the model settings,
the batch size, the kind of device, a user's own code and the versions of the shipped code. Names, folders, threads,
workers and shards are excluded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench.datasets.dataset import Dataset
from bench.datasets.label_map_files import label_map_record
from bench.datasets.label_maps import LABELS_VERSION, LabelMap
from bench.errors import DataError, ModelError, UsageError
from bench.evaluation.versions import adapter_versions, edited_files
from bench.fusion.presets import FUSION_VERSION
from bench.io.canonical_json import digest, to_plain
from bench.io.config import did_you_mean
from bench.io.hashing import ABSENT, FileDigests, folder_digest
from bench.io.images import READING_VERSION
from bench.metrics.boundary import BOUNDARY_VERSION
from bench.metrics.matching import DEVIATIONS, Protocol
from bench.metrics.pq import PQ_VERSION
from bench.metrics.semantic import SEMANTIC_VERSION
from bench.models.adapter import Adapter, torch_threads
from bench.models.spec import ModelSpec
from bench.models.user_code import UserCode
from bench.models.weights import weights_digest
from bench.results.image_line import Metrics, truth_digest
from bench.types import ProgressCallback, Readable, Sample

# Keys of a data set that name it: a renamed copy of the same content is the same run.
NAMES = ("name", "split", "base")


def run_identity(
    name: str,
    dataset: Dataset,
    model: Mapping[str, Any],
    batch_size: int,
    protocol: Protocol,
    metrics: Metrics,
    *,
    device: str | None = None,
    labels: LabelMap | None = None,
    inputs: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the identity of a run, including the names that `identity_digest` leaves out.

    `model` is the result of `model_identity`, or the digest of predictions; `device` is the kind of device, None for
    predictions; `inputs` is the result of `image_inputs`, None for a result that is not kept (no file is hashed).
    """
    if metrics and "panoptic" not in dataset.carries:
        raise UsageError(
            f"--metrics {', '.join(metrics)}: {dataset.name} has no instances, which this metric needs; leave it out"
        )
    if not name.strip(".") or "/" in name:
        raise UsageError(f"--name {name!r}: is not the name of a folder; write one without '/'")
    return {
        "name": name,
        "model": dict(model),
        "dataset": {
            "name": dataset.name,
            "split": dataset.split,
            "images": len(dataset.samples),
            "image_ids": digest([sample.image_id for sample in dataset.samples])[:16],
            "categories": dataset.categories.to_json(),
            "label_table": dataset.label_table,
            "content": digest(list((inputs or {}).values()))[:16],
            **({"pictures": found} if device is not None and (found := dataset.pictures.to_json()) else {}),
            **_corruption(dataset),
            **({} if dataset.labels is None else {"base": dataset.base, "label_map": label_map_record(dataset.labels)}),
        },
        "rules": _rules(dataset, protocol),
        "code": {} if inputs is None else _code(metrics, device is not None),
        "batch_size": batch_size,
        **({"metrics": sorted(metrics)} if metrics else {}),
        **({} if device is None else {"device_kind": device}),
        **({} if labels is None else {"label_map": label_map_record(labels)}),
    }


def identity_digest(identity: Mapping[str, Any], without: Collection[str] = ()) -> str:
    """Return the sha256 (hex) of an identity without names, and without the keys `without` of its data set."""
    dataset = {key: value for key, value in identity["dataset"].items() if key not in (*NAMES, *without)}
    return digest({**identity, "name": "", "dataset": dataset})


def image_inputs(
    dataset: Dataset, digests: FileDigests, *, pictures: bool, on_file: ProgressCallback | None = None
) -> dict[str, str]:
    """Return image id → 16 hex digits over ground truth, group and (if `pictures`) the image, in data set order."""
    files = input_files(dataset, pictures=pictures)
    found = dict(zip(map(str, files), digests.of(files, on_file), strict=True))
    inputs = {}
    for sample in dataset.samples:
        truth = [found[str(file)] for file in sample.target_files] or [_pixels_of_truth(sample)]
        if pictures:
            file = sample.image_file
            truth.append(_pixels_of_picture(sample) if file is None else found[str(file)])
        inputs[sample.image_id] = digest([sample.group, *truth])[:16]
    return inputs


def input_files(dataset: Dataset, *, pictures: bool) -> list[Readable]:
    truth = [file for sample in dataset.samples for file in sample.target_files]
    return truth + [s.image_file for s in dataset.samples if pictures and s.image_file is not None]


def _pixels_of_truth(sample: Sample) -> str:
    """Return the digest of a truth that has no file; ABSENT if it cannot be read, which raises again in scoring."""
    with suppress(DataError):
        return truth_digest(sample.read_target() if sample.read_semantic is None else sample.read_semantic())
    return ABSENT


def _pixels_of_picture(sample: Sample) -> str:
    with suppress(DataError):
        return hashlib.sha256(sample.read_image().rgb.tobytes()).hexdigest()
    return ABSENT


def model_identity(
    spec: ModelSpec, code: UserCode, digests: FileDigests, exclude: Collection[Path] = (), *, device: str = "cpu"
) -> dict[str, Any]:
    """Return the model settings that affect a prediction, and digests of weights and code.

    `device` is the kind of device; where it does the post-processing, its rounding may move a pixel. `exclude` are
    paths inside the weights folder that are not part of the weights: results, data, the YAML.
    """
    settings: dict[str, Any] = {name: to_plain(getattr(spec, name)) for name in ("input", "fusion", "precision")}
    if not spec.semantic:
        settings["semantic"] = False
    if spec.compile:
        settings["compile"] = True
    if spec.fuses_on_device(device):
        settings["postprocess"] = "device"
    # The name of the config is enough: the digest of the weights covers a config that is a file.
    if spec.framework is not None:
        settings["framework"] = {**to_plain(spec.framework), "config": Path(spec.framework.config).name}
    return {
        **settings,
        "categories": digest(to_plain(spec.space.items))[:16],
        "parts": {
            role: model_identity(part, code, digests, exclude, device=device) for role, part in spec.parts.items()
        },
        "weights": weights_digest(spec, exclude, digests),
        "adapter": _adapter(spec, code, digests),
        "reads": [_read_digest(Path(path), digests) for path in spec.reads],
    }


def _adapter(spec: ModelSpec, code: UserCode, digests: FileDigests) -> dict[str, Any]:
    """Return name and version of a shipped adapter; class, code digest and all shipped versions for a user adapter."""
    module, _, class_name = spec.adapter.rpartition(":")
    if not spec.is_user_adapter:
        return {"name": spec.adapter, "version": adapter_versions().get(module)}
    # A user's adapter may call any shipped one, so that all of their versions count.
    named = code.names(Path(module))
    found = digests.of([path for _, path in named])
    contents = sorted((name, content) for (name, _), content in zip(named, found, strict=True))
    return {"class": class_name, "code": digest(contents), "versions": adapter_versions()}


def _read_digest(path: Path, digests: FileDigests) -> str:
    if path.is_dir():
        return folder_digest(path, digests=digests)
    if not path.is_file():
        raise ModelError(f"{path}: no such file; correct `reads:` in the model's YAML")
    return digests.of([path])[0]


def _code(metrics: Metrics, with_model: bool) -> dict[str, Any]:
    """Return the versions of the shipped code in use, and the shipped files edited without a version change."""
    versions = {"labels": LABELS_VERSION, "reading": READING_VERSION}
    if "boundary" in metrics:
        versions["boundary"] = BOUNDARY_VERSION
    if with_model:
        versions["fusion"] = FUSION_VERSION
    return {"versions": versions, "edited": edited_files()}


def _rules(dataset: Dataset, protocol: Protocol) -> dict[str, Any]:
    if protocol not in DEVIATIONS:
        raise UsageError(f"unknown protocol {protocol!r}; {did_you_mean(protocol, DEVIATIONS)}")
    return {
        # Names and colours do not change a score.
        "categories": digest([(c.id, c.isthing) for c in dataset.categories])[:16],
        "void": digest(sorted(dataset.void))[:16],
        "protocol": protocol,
        "semantic_rule": dataset.semantic_rule,
        "pq_version": PQ_VERSION,
        "semantic_version": SEMANTIC_VERSION,
        # Among the rules, so that it is in the comparability key: such a run ranks with runs on the same pictures only.
        **_corruption(dataset),
    }


def _corruption(dataset: Dataset) -> dict[str, Any]:
    return {} if dataset.corruption is None else {"corruption": dataset.corruption.to_json()}


def model_metadata(spec: ModelSpec, adapter: Adapter, identity: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Return what run.json records about a loaded model beyond its identity."""
    return {
        "model": {**_shown(spec), "weights": identity["weights"], "code": identity["adapter"]},
        "device": str(getattr(adapter, "device", device)),
        "threads": getattr(adapter, "threads", torch_threads()),
        "parameters": getattr(adapter, "parameters", None),
        # Counted after the images: a pass before them would warm up the device for their timings.
        "multiply_adds": None,
        "revision": getattr(adapter, "revision", None),
        "worker": getattr(adapter, "worker", None),
    }


def _shown(spec: ModelSpec) -> dict[str, Any]:
    parts = {role: _shown(part) for role, part in spec.parts.items()}
    shown = {**to_plain(spec), "source": _portable(spec.source), "parts": parts}
    del shown["yaml"], shown["space"]
    usual = {"semantic": True, "postprocess": "auto", "compile": False, "changed": {}}
    return {name: value for name, value in shown.items() if name not in usual or usual[name] != value}


def _portable(source: str) -> str:
    """Return the path of shipped weights relative to the adapters package; any other source unchanged."""
    package = Path(str(files("bench.adapters"))).resolve()
    return str(Path(source).relative_to(package)) if Path(source).is_relative_to(package) else source
