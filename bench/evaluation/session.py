"""RunSession: a run on disk while it is computed, from its creation or resumption to done.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.datasets.dataset import Dataset
from bench.errors import BenchError, PartialRun
from bench.evaluation.identity import identity_digest, input_files
from bench.io.files import read_json, write_json
from bench.io.hashing import FileDigests
from bench.results.accumulator import RunAccumulator, ScoredLines
from bench.results.prediction_writer import PredictionWriter
from bench.results.predictions import CocoFiles, PngFolder, PredictionFolder
from bench.results.provenance import provenance
from bench.results.resume import INPUTS, drop_changed, take_over
from bench.results.run import Run, read_run
from bench.results.shards import WHOLE, Shard
from bench.results.writer import RunWriter


def run_folder(out: Path | str, dataset: Dataset, identity: Mapping[str, Any]) -> Path:
    return Path(out) / dataset.slug / str(identity["name"]) / identity_digest(identity)[:12]


def finished_run(folder: Path) -> Run | None:
    """Return the finished run in a folder; None if there is none, or if it ran code that no digest covers."""
    finished = all((folder / name).exists() for name in ("run.json", "done.json"))
    return None if not finished or _ran_unlisted_code(folder) else replace(read_run(folder), reused=True)


def _ran_unlisted_code(folder: Path) -> bool:
    return (folder / "run.json").exists() and bool(read_json(folder / "run.json").get("unlisted_modules"))


class RunSession:
    """A run that is being written: image lines with their totals, and predictions. Resumes what the folder holds.

    Leaving the context completes the run; an error gets the progress and a hint for resuming appended, and an OSError
    becomes PartialRun. `identity` is the result of `run_identity`, `inputs` that of `image_inputs`, None for a
    temporary folder; `digests` hashed the inputs; `metadata` is what run.json records beyond the identity.
    `predictions` is None unless they are saved.
    """

    def __init__(
        self,
        folder: Path,
        dataset: Dataset,
        identity: Mapping[str, Any],
        inputs: Mapping[str, str] | None,
        digests: FileDigests,
        *,
        metadata: Mapping[str, Any] | None = None,
        command: Sequence[str] = (),
        save_predictions: bool = True,
        overwrite: bool = False,
        shard: Shard = WHOLE,
    ) -> None:
        self.dataset, self.shard, self.metrics = dataset, shard, identity.get("metrics", ())
        self._folder, self._digests, self._batch_size = folder, digests, identity["batch_size"]
        self._kept, self._overwrite = inputs is not None, overwrite
        # Code outside any digest may have changed since, so that lines of such a run are never continued.
        fresh = overwrite or _ran_unlisted_code(folder)
        settings = identity_digest(identity, without=["content"])
        if not fresh:
            take_over(folder, settings, inputs or {}, self._batch_size)
        meta = {
            **identity, "identity": identity_digest(identity), "settings": settings, "origin": dataset.origin,
            **(metadata or {}), "provenance": provenance(), "command": list(command),
        }  # fmt: skip
        self._accumulator = RunAccumulator(dataset.categories, identity["rules"], self.metrics)
        self.score_lines = self._accumulator.score_lines
        with ExitStack() as opened:
            self._writer = RunWriter(
                folder, meta, shard=shard, fresh=fresh, on_existing_line=self._accumulator.add_stored
            )
            opened.enter_context(self._writer)
            self.done, self.set_metadata = self._writer.done, self._writer.set_metadata
            self.discard = self._writer.discard
            opened.enter_context(self._errors_with_progress())
            # Before the first line: `take_over` compares them if the run is interrupted.
            write_json(folder / INPUTS, dict(inputs or {}))
            self.predictions = PredictionWriter(folder / "predictions", shard=shard) if save_predictions else None
            if self.predictions is not None:
                opened.enter_context(self.predictions)
            self._opened = opened.pop_all()

    def __enter__(self) -> RunSession:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        with self._opened:
            if error is not None:
                raise error
            self._finish()

    def append(self, scored: ScoredLines, seconds: Sequence[Mapping[str, float]]) -> None:
        """Append the lines of images that have none, with the seconds per stage of each, and add them to the totals."""
        self._writer.append(scored.image_ids, scored.texts, seconds)
        self._accumulator.add(scored)

    def keep(self, found: Mapping[str, CocoFiles], *, link: bool = False, by: PredictionFolder | None = None) -> str:
        """Keep the predictions of all images as they are: as copies, hard links, or by reference to the folder `by`.

        Return why they are copies in place of links, or "".
        """
        assert self.predictions is not None
        if by is None:
            return self.predictions.keep(found, link=link)
        ids = {sample.image_id for sample in self.dataset.samples}
        self.predictions.refer(found, PngFolder(str(by.folder.absolute()), by.png_digest(self._digests, ids)))
        return ""

    def _finish(self) -> None:
        """Write predictions.json and the totals; for a shard, write image_ids.json for the merge.

        Raises PartialRun if a data file changed after it was hashed; lines of its batches are dropped.
        """
        order = [sample.image_id for sample in self.dataset.samples]
        # The identity of the run names the content that was hashed: lines from other bytes must not count as it.
        if changed := self._digests.changed(input_files(self.dataset, pictures=True)):
            dropped = drop_changed(self._folder, self.shard, self.dataset.samples, changed, self._batch_size)
            self.done -= dropped
            raise PartialRun(
                f"{changed[0]}: changed while the run was computed ({len(changed)} such files); the lines of "
                f"{len(dropped)} images are dropped, and the same command computes them again"
            )
        if self.shard != WHOLE:
            write_json(self._folder / "image_ids.json", order)
            return
        if self.predictions is not None:
            self.predictions.finish(order, self.dataset.categories)
        self._accumulator.complete(self._writer, order)
        (self._folder / INPUTS).unlink(missing_ok=True)

    @contextmanager
    def _errors_with_progress(self) -> Iterator[None]:
        try:
            yield
        except BenchError as error:
            raise type(error)(f"{error}\n{self._progress()}") from error
        # Reading raises DataError, so that an OSError is one of writing.
        except OSError as error:
            reason = f"{error.filename or self._folder}: cannot be written ({error.strerror or error})"
            raise PartialRun(f"{reason}; make room or change the permissions\n{self._progress()}") from error

    def _progress(self) -> str:
        scored = f"{len(self.done)} of {len(self.dataset.samples)} images are scored"
        if not self._kept:
            return f"{scored}; without --out they are not kept"
        if _ran_unlisted_code(self._folder):
            return f"{scored}; after the repair, the same command computes them again"
        again = "the same command without --overwrite" if self._overwrite else "the same command"
        return f"{scored} and kept; after the repair, {again} resumes"
