"""Scoring predictions that lie in files. Nothing that loads a model is imported: a set may take under a second."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from bench.account import Account
from bench.datasets.dataset import Dataset
from bench.description import run_identity
from bench.evaluate import Metrics, OnImage, run_predictions
from bench.job import Begun, Job, carried_out
from bench.metrics.pq import Protocol
from bench.predictions import PredictionFolder, PredictionWriter, open_predictions
from bench.results import Run, RunWriter
from bench.shards import WHOLE, Shard


def score(
    predictions: PredictionFolder | Path | str,
    dataset: Dataset,
    out: Path | str = "results",
    *,
    name: str | None = None,
    workers: int = 2,
    protocol: Protocol = "coco",
    save_predictions: bool = True,
    again: bool = False,
    metrics: Metrics = (),
    shard: Shard = WHOLE,
    command: Sequence[str] = (),
    on_image: OnImage | None = None,
) -> Run:
    """Scores predictions that lie in files; the run is like any other, and keeps a copy of them.

    `predictions` is a folder with predictions.json, or a COCO panoptic JSON; the run has the folder's name unless
    one is given.

    >>> from bench.damage import damage_dataset
    >>> from bench.datasets.dataset import load_dataset
    >>> data = load_dataset("minicity:demo").limited(2)
    >>> done = score(damage_dataset(data, Path("damaged")), data, "results")
    >>> done.name, 0.5 < done.score["PQ"]["all"]["PQ"] < 1
    ('damaged', True)
    """
    made = predictions if isinstance(predictions, PredictionFolder) else open_predictions(Path(predictions))
    identity = run_identity(name or made.name, dataset, {"predictions": made.digest()}, 1, protocol, metrics)

    def work(writer: RunWriter, account: Account, save: PredictionWriter | None) -> None:
        run_predictions(
            made, dataset, writer, account,
            workers=workers, save=save, metrics=metrics, shard=shard, on_image=on_image,
        )  # fmt: skip

    def begin() -> AbstractContextManager[Begun]:
        return nullcontext(({}, work))

    return carried_out(Job(dataset, Path(out), identity, begin, save_predictions, again, command, shard))
