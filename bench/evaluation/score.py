"""`bench.score`: scores prediction files. Imports no deep learning framework, so that it starts fast."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from bench.datasets.dataset import Dataset
from bench.evaluation.evaluator import score_predictions
from bench.evaluation.identity import image_inputs, run_identity
from bench.evaluation.session import Begun, Job, carried_out
from bench.io.hashing import FileDigests
from bench.metrics.pq import Protocol
from bench.results.accumulator import RunAccumulator
from bench.results.image_line import Metrics
from bench.results.predictions import PredictionFolder, PredictionWriter, open_predictions
from bench.results.run import Run
from bench.results.shards import WHOLE, Shard
from bench.results.writer import RunWriter
from bench.types import ProgressCallback


def score(
    predictions: PredictionFolder | Path | str,
    dataset: Dataset,
    out: Path | str = "results",
    *,
    name: str | None = None,
    workers: int = 2,
    protocol: Protocol = "coco",
    save_predictions: bool = True,
    overwrite: bool = False,
    metrics: Metrics = (),
    shard: Shard = WHOLE,
    command: Sequence[str] = (),
    on_image: ProgressCallback | None = None,
    on_file: ProgressCallback | None = None,
    identified: bool = True,
) -> Run:
    """Score prediction files. The run is like that of a model, and contains a copy of the predictions.

    `predictions` is a folder with predictions.json, or a COCO panoptic JSON; `name` defaults to the folder's name.
    `on_file(done, total)` is called while files without a cached digest are hashed. If not `identified`, no file is
    hashed; only for a temporary `out`.

    >>> from bench.evaluation.damage import damage_dataset
    >>> from bench.datasets.registry import load_dataset
    >>> data = load_dataset("minicity:demo").limited(2)
    >>> done = score(damage_dataset(data, Path("damaged")), data, "results")
    >>> done.name, 0.5 < done.score.PQ.all.PQ < 1
    ('damaged', True)
    """
    made = predictions if isinstance(predictions, PredictionFolder) else open_predictions(Path(predictions))
    digests = FileDigests()
    inputs = image_inputs(dataset, digests, pictures=False, on_file=on_file) if identified else None
    model = {"predictions": made.digest(digests, inputs) if inputs else ""}
    identity = run_identity(name or made.name, dataset, model, 1, protocol, metrics, inputs=inputs)

    def work(writer: RunWriter, accumulator: RunAccumulator, save: PredictionWriter | None) -> None:
        score_predictions(
            made, dataset, writer, accumulator,
            workers=workers, save=save, metrics=metrics, shard=shard, on_image=on_image,
        )  # fmt: skip

    def begin() -> AbstractContextManager[Begun]:
        return nullcontext(({}, work))

    job = Job(dataset, Path(out), identity, inputs or {}, digests, begin, save_predictions, overwrite, command, shard)
    return carried_out(job)
