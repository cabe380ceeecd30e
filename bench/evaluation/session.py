"""The life of a run on disk: create or resume it, process its images, finish it; or read a finished one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.datasets.dataset import Dataset
from bench.errors import BenchError, PartialRun
from bench.evaluation.identity import identity_digest, input_files
from bench.io.files import read_json, write_json
from bench.io.hashing import FileDigests
from bench.results.accumulator import RunAccumulator
from bench.results.predictions import PredictionWriter
from bench.results.provenance import provenance
from bench.results.run import Run, read_run
from bench.results.shards import WHOLE, Shard
from bench.results.takeover import drop_changed, forget_inputs, note_inputs, take_over
from bench.results.writer import RunWriter

Work = Callable[
    [RunWriter, RunAccumulator, PredictionWriter | None], None
]  # appends what the run lacks, saves where it may
Begun = tuple[Mapping[str, Any], Work]  # what else run.json shall tell, and the work


@dataclass(frozen=True, eq=False)
class Job:
    """Inputs and options of a run. `begin` opens what processing needs (the model); not called for a finished run."""

    dataset: Dataset
    out: Path
    identity: Mapping[str, Any]
    inputs: Mapping[str, str]
    digests: FileDigests
    begin: Callable[[], AbstractContextManager[Begun]]
    save_predictions: bool
    overwrite: bool
    command: Sequence[str]
    shard: Shard = WHOLE


def carried_out(job: Job) -> Run:
    """Return the finished run of `job`; start or resume it if necessary."""
    identity = identity_digest(job.identity)
    folder = job.out / job.dataset.slug / job.identity["name"] / identity[:12]
    if (folder / "run.json").exists() and not job.overwrite:
        if read_json(folder / "run.json").get("unlisted_modules"):  # code that no digest holds: nothing is kept of it
            job = replace(job, overwrite=True)
        elif (folder / "done.json").exists():
            return replace(read_run(folder), reused=True)
    with job.begin() as (about, work):
        about = {**about, "provenance": provenance(), "command": list(job.command)}
        settings = identity_digest(job.identity, without=["content"])
        meta = {**job.identity, "identity": identity, "settings": settings, **about}
        if not job.overwrite:
            take_over(folder, settings, job.inputs, job.identity["batch_size"])
        accumulator = RunAccumulator(job.dataset.categories, job.identity["rules"], job.identity.get("metrics", ()))
        with _writer(folder, meta, job, accumulator) as writer:
            note_inputs(folder, job.inputs)
            with _saving(folder, job) as save:
                work(writer, accumulator, save)
            _finish(writer, accumulator, job)
    return read_run(folder)


@contextmanager
def _saving(folder: Path, job: Job) -> Iterator[PredictionWriter | None]:
    """Yield a writer of the run's predictions, or None if they are not saved; afterwards write their COCO file."""
    if not job.save_predictions:
        yield None
        return
    with PredictionWriter(folder / "predictions", shard=job.shard) as predictions:
        yield predictions
        if job.shard == WHOLE:
            predictions.finish(_order(job.dataset), job.dataset.categories)


@contextmanager
def _writer(folder: Path, meta: Mapping[str, Any], job: Job, accumulator: RunAccumulator) -> Iterator[RunWriter]:
    """Yield the run's writer. Errors get the progress and a resume hint appended; OSError becomes PartialRun."""
    with RunWriter(
        folder, meta, shard=job.shard, fresh=job.overwrite, on_existing_line=accumulator.add_stored
    ) as writer:
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


def _finish(writer: RunWriter, accumulator: RunAccumulator, job: Job) -> None:
    """Write the totals of an unsharded run; for a shard, write image_ids.json for the merge.

    Raises PartialRun if a data file changed after it was hashed; lines of its batches are dropped.
    """
    if changed := job.digests.changed(input_files(job.dataset, pictures=True)):
        dropped = drop_changed(writer.folder, job.shard, job.dataset.samples, changed, job.identity["batch_size"])
        raise PartialRun(
            f"{changed[0]}: changed while the run was computed ({len(changed)} such files); the lines of {dropped} "
            "images are dropped, and the same command computes them again"
        )
    if job.shard == WHOLE:
        accumulator.complete(writer, _order(job.dataset))
        forget_inputs(writer.folder)
    else:
        write_json(writer.folder / "image_ids.json", _order(job.dataset))
