"""`bench.run`: evaluates a model on a data set."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from bench.datasets.dataset import Dataset
from bench.datasets.label_map_files import find_label_map
from bench.errors import UsageError
from bench.evaluation.batch_size import PROBED, probed_batch_size, recorded_batch_size
from bench.evaluation.evaluator import predict_and_score
from bench.evaluation.identity import image_inputs, model_identity, model_metadata, run_identity
from bench.evaluation.session import RunSession, finished_run, run_folder
from bench.io.hashing import FileDigests
from bench.metrics.matching import Protocol
from bench.models.adapter import Adapter
from bench.models.devices import device_kind
from bench.models.flops import count_macs
from bench.models.loading import open_model
from bench.models.resolve import ensure_resolved, with_commits
from bench.models.spec import ModelSpec
from bench.models.user_code import UserCode, isolated, user_code
from bench.parallel import WORKERS
from bench.results.image_line import Metrics
from bench.results.run import Run, read_run
from bench.results.shards import WHOLE, Shard
from bench.types import ProgressCallback


def run(
    model: ModelSpec | str,
    dataset: Dataset,
    out: Path | str = "results",
    *,
    name: str | None = None,
    device: str = "auto",
    batch_size: int | Literal["auto"] = 1,
    workers: int = WORKERS,
    protocol: Protocol = "coco",
    save_predictions: bool = True,
    overwrite: bool = False,
    label_map: str | None = None,
    metrics: Metrics = (),
    semantic: bool = True,
    shard: Shard = WHOLE,
    command: Sequence[str] = (),
    on_image: ProgressCallback | None = None,
    on_file: ProgressCallback | None = None,
) -> Run:
    """Predict and score a data set. A finished run is read, an interrupted one resumed.

    `model` is a name, the path of a YAML, or a ModelSpec from `resolve_model`; the run has its name unless `name` is
    given. If its label space differs from that of the data set, predictions are mapped by `label_map` (a name in
    configs/labels or a file), else by a shipped map. The `batch_size` "auto" is the largest that fits on the device, 1
    on the CPU.
    `metrics` names optional metrics ("boundary"). Without `semantic`, no semantic map is computed, nor its mIoU. A run
    of one shard stays incomplete until `bench.results.merge` joins all shards. `on_file(done, total)` is called while
    files without a cached digest are hashed.

    >>> from bench.datasets.registry import load_dataset
    >>> done = run("./mine.yaml", load_dataset("minicity:demo").limited(2), "results", device="cpu", protocol="strict")
    >>> done.score.protocol, [row.name for row in done.score.per_class][:2]
    ('strict', ['road', 'sidewalk'])
    >>> (done.folder / "predictions" / "predictions.json").is_file()
    True
    """
    if workers < 1 or (batch_size != "auto" and batch_size < 1):
        raise UsageError("--batch-size and --workers must be at least 1")
    if batch_size == "auto" and shard != WHOLE:
        raise UsageError("--batch-size auto: the shards of a run need one batch size; give a number")
    spec = with_commits(ensure_resolved(model, dataset.name, dataset.base, dataset.space))
    if not semantic and "panoptic" not in dataset.carries:
        raise UsageError(
            f"--no-semantic: {dataset.name} has semantic labels only, and mIoU is all there is; leave it out"
        )
    spec = replace(spec, semantic=semantic)
    labels = find_label_map(
        (spec.categories, spec.space), (dataset.space or dataset.name, dataset.categories), label_map
    )
    code = user_code(spec)
    code.require_distinct()
    kind = device_kind(device, spec.env)
    probed = batch_size == "auto" and kind != "cpu"
    if batch_size == "auto":
        batch_size = 1  # on the CPU, where a batch computes no faster than its images
    # In an environment of its own the torch of the model decides.
    if device == "auto" and spec.env is None:
        device = kind
    digests, elsewhere = FileDigests(), [Path(out), Path(spec.yaml), *([] if dataset.root is None else [dataset.root])]
    inputs = image_inputs(dataset, digests, pictures=True, on_file=on_file)
    identity = run_identity(
        name or spec.name, dataset, model_identity(spec, code, digests, elsewhere, device=kind), batch_size, protocol,
        metrics, device=kind, labels=labels, inputs=inputs,
    )  # fmt: skip
    if probed:
        batch_size = recorded_batch_size(out, dataset, identity) or _probed(spec, code, dataset, device)
        identity["batch_size"] = batch_size
    folder = run_folder(out, dataset, identity)
    if not overwrite and (finished := finished_run(folder)) is not None:
        return finished
    with (
        isolated(code) as unlisted,
        open_model(spec, device) as adapter,
        RunSession(
            folder, dataset, identity, inputs, digests,
            metadata={**model_metadata(spec, adapter, identity["model"], device), **({PROBED: True} if probed else {})},
            command=command, save_predictions=save_predictions, overwrite=overwrite, shard=shard,
        ) as session,
    ):  # fmt: skip
        unlisted_modules = getattr(adapter, "unlisted_modules", unlisted)
        session.set_metadata("unlisted_modules", unlisted_modules())
        try:
            predict_and_score(
                adapter, session, batch_size=batch_size, workers=workers, labels=labels, semantic=semantic,
                on_image=on_image,
            )  # fmt: skip
        finally:
            # Recorded also for an interrupted run, which must not be resumed then. A worker may hang and is not asked.
            session.set_metadata("unlisted_modules", unlisted())
        session.set_metadata("unlisted_modules", unlisted_modules())
        session.set_metadata("multiply_adds", _macs(adapter, dataset))
    return read_run(folder)


def _probed(spec: ModelSpec, code: UserCode, dataset: Dataset, device: str) -> int:
    """Return the largest batch size that fits, tried with a model of its own, which is freed again."""
    with isolated(code), open_model(spec, device) as adapter:
        return probed_batch_size(adapter, dataset, device, in_worker=spec.env is not None)


def _macs(adapter: Adapter, dataset: Dataset) -> int | None:
    """Return the multiply-adds of the network for the first image, or None if counting fails."""
    with suppress(Exception):
        return count_macs(adapter, dataset.samples[0].read_image())
    return None
