"""Samples and predictions → image lines. One loop serves live models and predictions made elsewhere."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.account import Account, Entry
from bench.adapter import Adapter, summary
from bench.datasets.dataset import Dataset
from bench.errors import BenchError, DataError, ModelError, PartialRun
from bench.formats.coco import PanopticFile
from bench.formats.png_runs import join
from bench.labels import LabelMap, remap_prediction
from bench.ledger import spelled
from bench.metrics.boundary import boundary_column
from bench.metrics.semantic import Rows, confusion, positions, semantic_from_panoptic
from bench.overlap import Overlap
from bench.pipeline import batches, forked_map, ordered_map
from bench.predictions import PredictionFolder, PredictionWriter
from bench.results import RunWriter
from bench.shards import WHOLE, Shard
from bench.types import Categories, Image, Panoptic, Prediction, Sample, SegmentInfo

FORK_FROM = 50  # images; a fork takes as long as some of them
OnImage = Callable[[int, int], None]
Metrics = Sequence[str]  # what is computed only when asked for: "boundary"
Truth = Panoptic | NDArray[np.int32]  # the latter (H, W) category ids, any other id being void


@dataclass(frozen=True, eq=False)
class Scored:
    """An image's entry in the account, and the seconds that its stages took."""

    entry: Entry
    seconds: dict[str, float]


def truth_digest(truth: Truth) -> str:
    """16 hex that identify a ground truth as scored: its size, its pixels, its segments where it has some."""
    hasher = hashlib.blake2b(digest_size=8)
    if isinstance(truth, np.ndarray):
        hasher.update(spelled(["semantic", list(truth.shape)]).encode())
        hasher.update(np.ascontiguousarray(truth, dtype=np.int32).tobytes())
        return hasher.hexdigest()
    return _panoptic_digest(truth.size, truth.segments_info, truth.runs)


def _panoptic_digest(size: tuple[int, int], infos: Sequence[SegmentInfo], runs: NDArray[np.int32]) -> str:
    """The runs stand for the pixels: there are far fewer of them to hash."""
    segments = [[s.category_id, s.iscrowd, s.declared_area] for s in infos]
    hasher = hashlib.blake2b(spelled([list(size), segments]).encode(), digest_size=8)
    hasher.update(runs.astype("<i4").tobytes())
    return hasher.hexdigest()


def image_line(sample: Sample, prediction: Prediction, categories: Categories, metrics: Metrics = ()) -> dict[str, Any]:
    """All that any metric needs of one image; the line that a run appends. `metrics` asks for extra columns.

    A sample of semantic labels has no overlap, so no PQ; a prediction without a semantic map no semantic rows.
    """
    truth = sample.read_target() if sample.read_semantic is None else sample.read_semantic()
    _check_fits(sample, truth, prediction)
    semantic = None
    if prediction.semantic is not None:
        semantic = confusion(_class_positions(truth, categories), prediction.semantic, categories)
    extra = {}
    if isinstance(truth, Panoptic) and "boundary" in metrics:
        extra["boundary"] = boundary_column(truth, prediction.panoptic)
    overlap = Overlap.of(truth, prediction.panoptic) if isinstance(truth, Panoptic) else None
    return {**_line(sample, truth_digest(truth), overlap, semantic), **extra}


def files_line(sample: Sample, prediction: PanopticFile) -> dict[str, Any] | None:
    """`image_line` of a panoptic prediction, from the runs of the two PNGs; None where they are not plain."""
    if not isinstance(sample.read_target, PanopticFile) or sample.read_semantic is not None:
        return None
    joined = join(sample.read_target, prediction)
    if joined is None:
        return None
    truth = _panoptic_digest(joined.size, joined.truth, joined.truth_runs)
    return _line(sample, truth, joined.overlap, None)


def _line(sample: Sample, truth: str, overlap: Overlap | None, semantic: Rows | None) -> dict[str, Any]:
    """What every line holds; `truth` is the digest of the ground truth."""
    return {
        "image_id": sample.image_id,
        "group": sample.group,
        "truth": truth,
        "overlap": overlap,
        "semantic": semantic,
    }


def _class_positions(truth: Truth, categories: Categories) -> NDArray[np.int32]:
    """(H, W) positions in `categories`, void = C."""
    if isinstance(truth, Panoptic):
        return semantic_from_panoptic(truth, categories)
    return positions(truth, categories)


def _check_fits(sample: Sample, truth: Truth, prediction: Prediction) -> None:
    """There is something to compare, and it has the size of the truth."""
    if not isinstance(truth, Panoptic) and prediction.semantic is None:
        raise DataError(
            f"image {sample.image_id!r}: its truth is semantic and the prediction has no semantic map, so there is "
            "neither PQ nor mIoU to compute; take a model with a semantic output, or a data set with instances"
        )
    size = truth.size if isinstance(truth, Panoptic) else truth.shape
    maps = {"panoptic prediction": prediction.panoptic.id_map, "semantic prediction": prediction.semantic}
    for name, map_ in maps.items():
        if map_ is not None and map_.shape != size:
            raise DataError(
                f"image {sample.image_id!r}: the ground truth is {size} and the {name} {map_.shape} (H, W) px; "
                "both must have the size of the image: replace the one that has not"
            )


def run_model(
    adapter: Adapter,
    dataset: Dataset,
    run: RunWriter,
    account: Account,
    *,
    batch_size: int = 1,
    workers: int = 2,
    save: PredictionWriter | None = None,
    labels: LabelMap | None = None,
    metrics: Metrics = (),
    shard: Shard = WHOLE,
    on_image: OnImage | None = None,
) -> None:
    """Predicts and scores what the run lacks. Stages overlap; the device belongs to the calling thread.

    Of a sharded run only the batches of `shard` are done.
    `labels` leads from the model's label space to the data set's; None where they are the same.
    """
    predicted = dataset.categories if labels is None else labels.source
    cuts = shard.of(batches(dataset.samples, batch_size))
    todo = [cut for cut in cuts if any(sample.image_id not in run.done for sample in cut)]

    def finish(item: tuple[Sample, tuple[int, int], Any, dict[str, float]]) -> Scored:
        sample, size, output, seconds = item
        start = time.perf_counter()
        with _stage("postprocess", [sample.image_id]):
            prediction = adapter.postprocess(output, size)
            _check_fit(prediction, size, predicted)
            if labels is not None:
                prediction = remap_prediction(prediction, labels)
        seconds = {**seconds, "postprocess": time.perf_counter() - start}
        return _score(sample, prediction, seconds, account, dataset.categories, save, metrics)

    with closing(_infer(adapter, todo, workers)) as outputs:
        _append_all(run, account, ordered_map(finish, outputs, workers), sum(map(len, cuts)), on_image)


def run_predictions(
    predictions: PredictionFolder,
    dataset: Dataset,
    run: RunWriter,
    account: Account,
    *,
    workers: int = 2,
    save: PredictionWriter | None = None,
    metrics: Metrics = (),
    shard: Shard = WHOLE,
    on_image: OnImage | None = None,
) -> None:
    """Scores predictions that lie in files; of a sharded run only the images of `shard`."""
    mine = shard.of(dataset.samples)
    todo = [sample for sample in mine if sample.image_id not in run.done]

    def finish(sample: Sample) -> Scored:
        start = time.perf_counter()
        plain = None if save is not None or metrics else predictions.plain(sample.image_id, dataset.categories)
        line = None if plain is None else files_line(sample, plain)
        if line is not None:
            return Scored(account.entry(line), {"score": time.perf_counter() - start})
        prediction = predictions.read(sample.image_id, dataset.categories)
        return _score(sample, prediction, {}, account, dataset.categories, save, metrics)

    forked = save is None and not metrics and workers > 1 and _pays_to_fork(todo)
    scored = forked_map(finish, todo, workers) if forked else ordered_map(finish, todo, workers)
    _append_all(run, account, scored, len(mine), on_image)


def _pays_to_fork(todo: Sequence[Sample]) -> bool:
    """Whether there is enough to do, and nothing that a fork would share: a zip's handle, the threads of torch."""
    files = all(isinstance(s.read_target, PanopticFile) and isinstance(s.read_target.png, Path) for s in todo)
    return len(todo) >= FORK_FROM and files and sys.platform == "linux" and "torch" not in sys.modules


def _append_all(
    run: RunWriter, account: Account, scored: Generator[Scored, None, None], total: int, on_image: OnImage | None
) -> None:
    if on_image:
        on_image(len(run.done), total)
    with closing(scored):
        for item in scored:
            if run.append(item.entry.image_id, item.entry.text, item.seconds):
                account.add(item.entry)
            if on_image:
                on_image(len(run.done), total)


def _score(
    sample: Sample,
    prediction: Prediction,
    seconds: dict[str, float],
    account: Account,
    categories: Categories,
    save: PredictionWriter | None,
    metrics: Metrics,
) -> Scored:
    if save is not None:
        save.write(sample.image_id, prediction)
    start = time.perf_counter()
    line = image_line(sample, prediction, categories, metrics)
    return Scored(account.entry(line), {**seconds, "score": time.perf_counter() - start})


def _infer(
    adapter: Adapter, todo: Sequence[Sequence[Sample]], workers: int
) -> Generator[tuple[Sample, tuple[int, int], Any, dict[str, float]], None, None]:
    """Outputs one image at a time; images are read and preprocessed ahead on threads."""

    def prepare(sample: Sample) -> tuple[Image, Any, dict[str, float]]:
        start = time.perf_counter()
        image = sample.read_image()
        read = time.perf_counter()
        with _stage("preprocess", [sample.image_id]):
            ready = adapter.preprocess(image)
        return image, ready, {"read": read - start, "preprocess": time.perf_counter() - read}

    with closing(ordered_map(prepare, (sample for cut in todo for sample in cut), workers)) as prepared:
        for cut in todo:
            inputs = [next(prepared) for _ in cut]
            start = time.perf_counter()
            outputs = _guarded(adapter, [ready for _, ready, _ in inputs], cut)
            share = (time.perf_counter() - start) / len(cut)
            for sample, (image, _, seconds), output in zip(cut, inputs, outputs, strict=True):
                yield sample, image.size, output, {**seconds, "infer": share}


def _guarded(adapter: Adapter, batch: list[Any], cut: Sequence[Sample]) -> Sequence[Any]:
    """The network's outputs, one an image."""
    with _stage("infer", [sample.image_id for sample in cut]):
        outputs = adapter.infer(batch)
        if len(outputs) != len(batch):
            raise ModelError(f"it gave {len(outputs)} outputs for {len(batch)} images")
    return outputs


@contextmanager
def _stage(name: str, image_ids: Sequence[str]) -> Iterator[None]:
    """Whatever an adapter raises becomes a ModelError that names the stage and the images.

    A lost worker is no fault of the model's, and the run can be resumed.
    """
    try:
        yield
    except PartialRun:
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, BenchError) else summary(error)
        memory = "memory" in reason.lower()
        hint = "try a smaller --batch-size or --precision bf16" if memory else "BENCH_DEBUG=1 shows where"
        images = ", ".join(map(repr, image_ids[:3]))
        raise ModelError(f"image {images}: the model failed in {name}: {reason}; {hint}") from error


def _check_fit(prediction: Prediction, size: tuple[int, int], categories: Categories) -> None:
    """A prediction has the size (H, W) of its image and the classes of the scored space."""
    for name, map_ in (("panoptic", prediction.panoptic.id_map), ("semantic", prediction.semantic)):
        if map_ is not None and map_.shape != size:
            raise ModelError(f"its {name} map is {map_.shape} for an image of {size} (H, W)")
    for info in prediction.panoptic.segments_info:
        if info.category_id not in categories.index_of:
            raise ModelError(f"category_id {info.category_id} is not in the scored label space")
