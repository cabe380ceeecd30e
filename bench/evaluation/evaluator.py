"""The evaluation loop: samples and predictions → image lines, for live models and for prediction files."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from bench.datasets.label_maps import LabelMap, remap_prediction
from bench.errors import ModelError, PartialRun, describe_error
from bench.evaluation.session import RunSession
from bench.io.coco import PanopticFile
from bench.io.truth_runs import TruthRuns, prune
from bench.models.adapter import Adapter
from bench.models.devices import is_out_of_memory
from bench.parallel import WORKERS, batches, forked_map, ordered_map
from bench.results.accumulator import ScoredLines
from bench.results.image_line import image_line, image_line_from_files
from bench.results.prediction_writer import PredictionWriter
from bench.results.predictions import CocoFiles, Keep, PredictionFolder, Predictions
from bench.types import Categories, Prediction, ProgressCallback, Sample

# Images: starting the workers takes as long as scoring some dozens of PNGs.
FORK_FROM = 50
AT_ONCE = 32  # images of a forked worker in one message, since each message wakes the receiving process

Line = Mapping[str, Any]
Scored = tuple[ScoredLines, list[Mapping[str, float]]]  # lines of images, and the seconds per stage of each


@dataclass(frozen=True, eq=False)
class InHand:
    """An image between two stages: what the last one made of it, its size (H, W), and the seconds per stage."""

    sample: Sample
    size: tuple[int, int]
    made: Any
    seconds: Mapping[str, float]


def predict_and_score(
    adapter: Adapter,
    session: RunSession,
    *,
    batch_size: int = 1,
    workers: int = WORKERS,
    labels: LabelMap | None = None,
    semantic: bool = True,
    on_image: ProgressCallback | None = None,
) -> None:
    """Predict and score the images that the run lacks. `infer` runs on the calling thread, the other stages on threads:

    read, preprocess (`workers`) → collate (1) → infer → postprocess, write, score (`workers`) → append the line (1)

    Only batches of the session's shard are evaluated. `labels` maps the model's label space to that of the data set;
    None if they are the same. Without `semantic`, semantic maps are dropped. Raises ModelError, naming the stage and
    the images, if the adapter fails.
    """
    predicted = session.dataset.categories if labels is None else labels.source
    cuts = session.shard.of(batches(session.dataset.samples, batch_size))
    # A batch is predicted whole even if some of its lines exist, since padding makes its images depend on each other.
    todo = [cut for cut in cuts if any(sample.image_id not in session.done for sample in cut)]

    def finish(item: InHand) -> Scored:
        start = time.perf_counter()
        with _stage("postprocess", [item.sample.image_id], batch_size):
            prediction = adapter.postprocess(item.made, item.size)
            _check_fit(prediction, item.size, predicted)
            if not semantic:
                prediction = replace(prediction, semantic=None)
            if labels is not None:
                prediction = remap_prediction(prediction, labels)
        seconds = {**item.seconds, "postprocess": time.perf_counter() - start}
        line, spent = _line(item.sample, prediction, seconds, session, session.predictions)
        return _scored([line], [spent], session)

    def append(scored: Scored) -> None:
        if scored[0].image_ids[0] not in session.done:
            session.append(*scored)

    total = sum(map(len, cuts))
    if on_image:
        on_image(len(session.done), total)
    # Closing stops the threads when an error or Ctrl-C ends the loop.
    with (
        closing(_infer(adapter, todo, batch_size, workers)) as outputs,
        closing(ordered_map(finish, outputs, workers)) as scored,
        # The disk may be slow, and the device would wait for it.
        closing(ordered_map(append, scored, 1)) as appended,
    ):
        for _ in appended:
            if on_image:
                on_image(len(session.done), total)


def score_predictions(
    predictions: Predictions,
    session: RunSession,
    *,
    workers: int = WORKERS,
    labels: LabelMap | None = None,
    keep: Keep = "copy",
    on_image: ProgressCallback | None = None,
) -> str:
    """Score the prediction files of the images that the run lacks; only the images of the session's shard.

    `labels` maps their label space to that of the data set; None if they are the same. If the session saves
    predictions, COCO panoptic files are kept as they are, by `keep`; others are written as such. Return why they are
    kept otherwise than by `keep`, or "".
    """
    predicted = session.dataset.categories if labels is None else labels.source
    mine = session.shard.of(session.dataset.samples)
    todo = [sample for sample in mine if sample.image_id not in session.done]
    ready = {} if labels is not None or session.predictions is None else _ready(predictions, mine, predicted)
    writer = None if ready else session.predictions

    def finish(some: Sequence[Sample]) -> tuple[Scored, Exception | None]:
        made, failed = [], None
        cache = TruthRuns([str(file) for sample in some for file in sample.target_files]) if forked else None
        try:
            for sample in some:
                made.append(line_of(sample, cache))
            if cache is not None:
                cache.save()
        except Exception as error:
            # The lines of the images before it are kept.
            failed = error
        return _scored([line for line, _ in made], [seconds for _, seconds in made], session), failed

    def line_of(sample: Sample, cache: TruthRuns | None) -> tuple[Line, Mapping[str, float]]:
        start = time.perf_counter()
        # Semantic maps and boundaries are counted from arrays.
        runs = labels is None and writer is None and not session.metrics
        kept = ready.get(sample.image_id)
        files = (kept or predictions.coco_files(sample.image_id, predicted)) if runs else None
        if files is not None and files.semantic is None:
            line = image_line_from_files(sample, files.panoptic, cache)
            if line is not None:
                return line, {"score": time.perf_counter() - start}
        prediction = predictions.read(sample.image_id, predicted)
        if labels is not None:
            prediction = remap_prediction(prediction, labels)
        return _line(sample, prediction, {}, session, writer)

    def append(finished: tuple[Scored, Exception | None]) -> None:
        scored, error = finished
        session.append(*scored)
        if error is not None:
            raise error

    forked = writer is None and workers > 1 and _should_fork(todo)
    cuts = batches(todo, AT_ONCE if forked else 1)
    scored = forked_map(finish, cuts, workers) if forked else ordered_map(finish, cuts, workers)
    if on_image:
        on_image(len(session.done), len(mine))
    # Closing stops the threads or processes when an error or Ctrl-C ends the loop.
    with closing(scored):
        for one in scored:
            append(one)
            if on_image:
                on_image(len(session.done), len(mine))
    if forked:
        prune()
    return _keep(predictions, ready, keep, session)


def _ready(predictions: Predictions, mine: Sequence[Sample], categories: Categories) -> dict[str, CocoFiles]:
    """Return image id → COCO panoptic files that can be kept as they are; {} unless all images have them."""
    found = {sample.image_id: predictions.coco_files(sample.image_id, categories) for sample in mine}
    ready = {image_id: files for image_id, files in found.items() if files is not None}
    return ready if len(ready) == len(found) else {}


def _keep(predictions: Predictions, ready: Mapping[str, CocoFiles], keep: Keep, session: RunSession) -> str:
    """Keep the files of all images, those of an interrupted run included. Return why not by `keep`, or ""."""
    if session.predictions is None:
        return ""
    if not ready:
        return (
            "" if keep == "copy" else "they are not COCO panoptic files of the data set's classes, and written as such"
        )
    by = predictions if keep == "reference" and isinstance(predictions, PredictionFolder) else None
    reason = session.keep(ready, link=keep == "link", by=by)
    if reason:
        return f"hard links are not possible here ({reason}), so that they are copies"
    return "" if by or keep != "reference" else "they are matched by file name, so that they are copies"


def _should_fork(todo: Sequence[Sample]) -> bool:
    """Return whether forked workers pay off and are safe."""
    # Archives have one file position for all processes, the threads of torch do not survive a fork, and macOS's
    # frameworks may crash in a forked process.
    files = all(isinstance(s.read_target, PanopticFile) and isinstance(s.read_target.png, Path) for s in todo)
    return len(todo) >= FORK_FROM and files and sys.platform == "linux" and "torch" not in sys.modules


def _line(
    sample: Sample, prediction: Prediction, seconds: Mapping[str, float], session: RunSession,
    writer: PredictionWriter | None,
) -> tuple[Line, Mapping[str, float]]:  # fmt: skip
    if writer is not None:
        writer.write(sample.image_id, prediction)
    start = time.perf_counter()
    line = image_line(sample, prediction, session.dataset.categories, session.metrics)
    return line, {**seconds, "score": time.perf_counter() - start}


def _scored(lines: Sequence[Line], seconds: Sequence[Mapping[str, float]], session: RunSession) -> Scored:
    """Return the statistics of lines, and their seconds with an equal share of what these took."""
    start = time.perf_counter()
    scored = session.score_lines(lines)
    share = (time.perf_counter() - start) / max(len(lines), 1)
    return scored, [{**one, "score": one["score"] + share} for one in seconds]


def _infer(
    adapter: Adapter, todo: Sequence[Sequence[Sample]], batch_size: int, workers: int
) -> Generator[InHand, None, None]:
    """Yield the raw output of each image; the next batches are read, preprocessed and collated ahead on threads."""

    def prepare(sample: Sample) -> InHand:
        start = time.perf_counter()
        image = sample.read_image()
        read = time.perf_counter()
        with _stage("preprocess", [sample.image_id], batch_size):
            ready = adapter.preprocess(image)
        return InHand(sample, image.size, ready, {"read": read - start, "preprocess": time.perf_counter() - read})

    def collate(inputs: list[InHand]) -> tuple[list[InHand], Any]:
        ready = [one.made for one in inputs]
        if not hasattr(adapter, "collate"):
            return inputs, ready
        with _stage("collate", [one.sample.image_id for one in inputs], batch_size):
            return [replace(one, made=None) for one in inputs], adapter.collate(ready)

    samples = chain.from_iterable(todo)
    with (
        # The next batch is complete when the device is free.
        closing(ordered_map(prepare, samples, workers, batch_size + 2 * workers)) as prepared,
        closing(ordered_map(collate, ([next(prepared) for _ in cut] for cut in todo), 1)) as collated,
    ):
        for inputs, batch in collated:
            start = time.perf_counter()
            with _stage("infer", [one.sample.image_id for one in inputs], batch_size):
                outputs = adapter.infer(batch)
                if len(outputs) != len(inputs):
                    raise ModelError(f"infer returned {len(outputs)} outputs for {len(inputs)} images")
            # The network computes a batch at once, so that each image gets an equal share of its seconds.
            share = (time.perf_counter() - start) / len(inputs)
            for one, output in zip(inputs, outputs, strict=True):
                yield replace(one, made=output, seconds={**one.seconds, "infer": share})


@contextmanager
def _stage(name: str, image_ids: Sequence[str], batch_size: int) -> Iterator[None]:
    """Turn any exception of an adapter into a ModelError that names the stage and the images.

    PartialRun (a worker died) passes unchanged, since the run can be resumed. Missing memory is a PartialRun, too.
    """
    try:
        yield
    except PartialRun:
        raise
    # An adapter may raise any exception. As a ModelError it has the image in its message, and the lines are kept.
    except Exception as error:
        failed = f"image {', '.join(map(repr, image_ids[:3]))}: the model failed in {name}: {describe_error(error)}"
        if is_out_of_memory(error):
            raise PartialRun(f"{failed}; {_less_memory(batch_size)}") from error
        raise ModelError(f"{failed}; BENCH_DEBUG=1 shows where") from error


def _less_memory(batch_size: int) -> str:
    # Each of these is part of the identity.
    less = f"--batch-size {batch_size // 2}" if batch_size > 1 else "--precision bf16 or --postprocess cpu"
    return f"give {less}, which begins another run, or free some memory"


def _check_fit(prediction: Prediction, size: tuple[int, int], categories: Categories) -> None:
    """Raise ModelError if a map differs in size (H, W) from its image or a category is not in the label space."""
    for name, map_ in (("panoptic", prediction.panoptic.id_map), ("semantic", prediction.semantic)):
        if map_ is not None and map_.shape != size:
            raise ModelError(f"its {name} map is {map_.shape} for an image of {size} (H, W)")
    for info in prediction.panoptic.segments_info:
        if info.category_id not in categories.index_of:
            raise ModelError(f"category_id {info.category_id} is not in the scored label space")
