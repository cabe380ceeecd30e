"""The verbs: run a model, score predictions. What they leave behind is a run on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.account import Account
from bench.adapter import Adapter
from bench.config import digest
from bench.counting import multiply_adds
from bench.datasets.dataset import Dataset
from bench.description import model_facts, model_identity, run_identity, with_map
from bench.errors import BenchError, PartialRun, UsageError
from bench.evaluate import Metrics, OnImage, run_model, run_predictions
from bench.maps import prediction_map
from bench.metrics.pq import Protocol
from bench.models import ModelSpec, resolved
from bench.predictions import PredictionFolder, PredictionWriter, open_predictions
from bench.provenance import provenance
from bench.remote import opened
from bench.results import Run, RunWriter, read_run, write_json
from bench.shards import WHOLE, Shard

Work = Callable[[RunWriter, Account, PredictionWriter | None], None]  # appends what the run lacks, saves where it may
Begun = tuple[Mapping[str, Any], Work]  # what else run.json shall tell, and the work


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
    again: bool = False,
    label_map: str | None = None,
    metrics: Metrics = (),
    shard: Shard = WHOLE,
    command: Sequence[str] = (),
    on_image: OnImage | None = None,
) -> Run:
    """Predicts and scores a data set; a finished run is read, an interrupted one resumed.

    `metrics` asks for what costs extra ("boundary"). One of several shards leaves an incomplete run, which
    `bench.merge` completes when all have been there.

    `model` is a name or the path of a YAML, or what `resolve_model` makes of one with another checkpoint, precision
    or thresholds. Where it has another label space than the data set, its predictions are mapped: by `label_map`
    (a name of configs/labels or a file), or by a shipped map that leads from one to the other.

    >>> from bench.datasets.dataset import load_dataset
    >>> done = run("./mine.yaml", load_dataset("minicity:demo").limited(2), "results", device="cpu", protocol="strict")
    >>> done.score["protocol"], [row["name"] for row in done.score["per_class"]][:2]
    ('strict', ['road', 'sidewalk'])
    >>> (done.folder / "predictions" / "predictions.json").is_file()
    True
    """
    if batch_size < 1 or workers < 1:
        raise UsageError("--batch-size and --workers must be at least 1")
    spec = resolved(model, dataset.name, dataset.base, dataset.space)
    data_space = (dataset.space or dataset.name, dataset.categories)
    labels = prediction_map((spec.categories, spec.space), data_space, label_map)
    identity = run_identity(spec.name, dataset, model_identity(spec), batch_size, protocol, metrics)
    identity = with_map(identity, labels)

    @contextmanager
    def begin() -> Iterator[Begun]:
        with opened(spec, device) as adapter:

            def work(writer: RunWriter, account: Account, save: PredictionWriter | None) -> None:
                run_model(
                    adapter, dataset, writer, account,
                    batch_size=batch_size, workers=workers, save=save, labels=labels, metrics=metrics, shard=shard,
                    on_image=on_image,
                )  # fmt: skip
                writer.tell("multiply_adds", _counted(adapter, dataset))

            yield model_facts(spec, adapter, identity["model"]["weights"], device), work

    return _carried_out(Job(dataset, Path(out), identity, begin, save_predictions, again, command, shard))


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

    return _carried_out(Job(dataset, Path(out), identity, begin, save_predictions, again, command, shard))


@dataclass(frozen=True, eq=False)
class Job:
    """What a run is to do. `begin` opens what the work needs; a finished run does not ask for it, so that a model is
    loaded only where it is needed."""

    dataset: Dataset
    out: Path
    identity: Mapping[str, Any]
    begin: Callable[[], AbstractContextManager[Begun]]
    save_predictions: bool
    again: bool
    command: Sequence[str]
    shard: Shard = WHOLE


def _carried_out(job: Job) -> Run:
    """The run of a job: read if it is finished, else begun or resumed, and finished."""
    folder = job.out / job.dataset.slug / job.identity["name"] / digest(job.identity)[:12]
    if (folder / "done.json").exists() and not job.again:
        return read_run(folder)
    with job.begin() as (about, work):
        meta = {**job.identity, **about, "provenance": provenance(), "command": list(job.command)}
        account = Account(job.dataset.categories, job.identity["rules"], job.identity.get("metrics", ()))
        with _writer(folder, meta, job, account) as writer:
            with _saving(folder, job) as save:
                work(writer, account, save)
            _finish(writer, account, job)
    return read_run(folder)


@contextmanager
def _saving(folder: Path, job: Job) -> Iterator[PredictionWriter | None]:
    """A writer of the run's predictions; their COCO file is written when all images are there."""
    if not job.save_predictions:
        yield None
        return
    with PredictionWriter(folder / "predictions", shard=job.shard) as predictions:
        yield predictions
        if job.shard == WHOLE:
            predictions.finish(_order(job.dataset), job.dataset.categories)


def _counted(adapter: Adapter, dataset: Dataset) -> int | None:
    """Multiply-adds of the network for the first image; a count that fails is none, and costs no run."""
    with suppress(Exception):
        return multiply_adds(adapter, dataset.samples[0].read_image())
    return None


@contextmanager
def _writer(folder: Path, meta: Mapping[str, Any], job: Job, account: Account) -> Iterator[RunWriter]:
    """The run's writer; what ends it early says how far it came and that the same command goes on."""
    with RunWriter(folder, meta, shard=job.shard, fresh=job.again, seen=account.read) as writer:
        try:
            yield writer
        except BenchError as error:
            raise type(error)(f"{error}\n{_kept(writer, job.dataset)}") from error
        except OSError as error:  # what is read raises DataError: this one is from writing
            reason = f"{error.filename or folder}: cannot be written ({error.strerror or error})"
            raise PartialRun(f"{reason}; make room or change the permissions\n{_kept(writer, job.dataset)}") from error


def _kept(writer: RunWriter, dataset: Dataset) -> str:
    done, total = len(writer.done), len(dataset.samples)
    return f"{done} of {total} images are scored and kept; when that is mended, the same command resumes"


def _order(dataset: Dataset) -> list[str]:
    return [sample.image_id for sample in dataset.samples]


def _finish(writer: RunWriter, account: Account, job: Job) -> None:
    """The totals of a whole run; a shard leaves the order of all images, for the merge."""
    if job.shard == WHOLE:
        account.complete(writer, _order(job.dataset))
    else:
        write_json(writer.folder / "image_ids.json", _order(job.dataset))
