"""`bench.run`: evaluates a model on a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.datasets.dataset import Dataset
from bench.datasets.label_map_files import find_label_map
from bench.errors import UsageError
from bench.evaluation.evaluator import predict_and_score
from bench.evaluation.identity import (
    image_inputs,
    listed_files,
    model_identity,
    model_metadata,
    own_adapters,
    run_identity,
)
from bench.evaluation.session import Begun, Job, carried_out
from bench.io.hashing import FileDigests
from bench.metrics.pq import Protocol
from bench.models.adapter import Adapter
from bench.models.devices import device_kind
from bench.models.flops import count_macs
from bench.models.loading import open_model
from bench.models.resolve import ensure_resolved, with_commits
from bench.models.spec import ModelSpec
from bench.models.user_code import isolated, require_distinct
from bench.results.accumulator import RunAccumulator
from bench.results.image_line import Metrics
from bench.results.predictions import PredictionWriter
from bench.results.run import Run
from bench.results.shards import WHOLE, Shard
from bench.results.writer import RunWriter
from bench.types import ProgressCallback


def run(
    model: ModelSpec | str,
    dataset: Dataset,
    out: Path | str = "results",
    *,
    device: str = "auto",
    batch_size: int = 1,
    workers: int = 2,
    protocol: Protocol = "coco",
    save_predictions: bool = True,
    overwrite: bool = False,
    label_map: str | None = None,
    metrics: Metrics = (),
    shard: Shard = WHOLE,
    command: Sequence[str] = (),
    on_image: ProgressCallback | None = None,
    on_file: ProgressCallback | None = None,
) -> Run:
    """Predict and score a data set. A finished run is read, an interrupted one resumed.

    `model` is a name, the path of a YAML, or a ModelSpec from `resolve_model`. If its label space differs from that of
    the data set, predictions are mapped by `label_map` (a name in configs/labels or a file), else by a shipped map.
    `metrics` names optional metrics ("boundary"). A run of one shard stays incomplete until `bench.results.merge` joins
    all shards. `on_file(done, total)` is called while files without a cached digest are hashed.

    >>> from bench.datasets.registry import load_dataset
    >>> done = run("./mine.yaml", load_dataset("minicity:demo").limited(2), "results", device="cpu", protocol="strict")
    >>> done.score.protocol, [row.name for row in done.score.per_class][:2]
    ('strict', ['road', 'sidewalk'])
    >>> (done.folder / "predictions" / "predictions.json").is_file()
    True
    """
    if batch_size < 1 or workers < 1:
        raise UsageError("--batch-size and --workers must be at least 1")
    spec = with_commits(ensure_resolved(model, dataset.name, dataset.base, dataset.space))
    data_space = (dataset.space or dataset.name, dataset.categories)
    labels = find_label_map((spec.categories, spec.space), data_space, label_map)
    own = own_adapters(spec)
    require_distinct(own)
    digests, elsewhere = FileDigests(), [Path(out), Path(spec.yaml), *([] if dataset.root is None else [dataset.root])]
    kind = device_kind(device, spec.env)
    if device == "auto" and spec.env is None:  # in an environment of its own the model's torch decides
        device = kind
    inputs = image_inputs(dataset, digests, pictures=True, on_file=on_file)
    identity = run_identity(
        spec.name, dataset, model_identity(spec, digests, elsewhere), batch_size, protocol, metrics,
        device=kind, labels=labels,
        inputs=inputs,
    )  # fmt: skip
    listed = listed_files(spec)

    @contextmanager
    def begin() -> Iterator[Begun]:
        with isolated(own, listed) as unlisted, open_model(spec, device) as adapter:
            beyond = getattr(adapter, "unlisted_modules", unlisted)

            def work(writer: RunWriter, accumulator: RunAccumulator, save: PredictionWriter | None) -> None:
                writer.set_metadata("unlisted_modules", beyond() or None)
                try:
                    predict_and_score(
                        adapter, dataset, writer, accumulator,
                        batch_size=batch_size, workers=workers, save=save, labels=labels, metrics=metrics, shard=shard,
                        on_image=on_image,
                    )  # fmt: skip
                finally:  # an interrupted run may not be resumed either; a worker may hang, and is not asked
                    writer.set_metadata("unlisted_modules", unlisted() or None)
                writer.set_metadata("unlisted_modules", beyond() or None)
                writer.set_metadata("multiply_adds", _counted(adapter, dataset))

            yield model_metadata(spec, adapter, identity["model"], device), work

    job = Job(dataset, Path(out), identity, inputs, digests, begin, save_predictions, overwrite, command, shard)
    return carried_out(job)


def _counted(adapter: Adapter, dataset: Dataset) -> int | None:
    """Return the multiply-adds of the network for the first image, or None if counting fails."""
    with suppress(Exception):
        return count_macs(adapter, dataset.samples[0].read_image())
    return None
