"""RemoteAdapter: a model in another Python interpreter, with the interface of any other adapter.

The three stages run in the worker and overlap as in one process. If a worker dies (crash, kill, timeout or broken
protocol), another is started and the unfinished images are repeated there once, one batch at a time. PartialRun is
raised if a second worker dies on them.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from bench.errors import ModelError, PartialRun
from bench.io.canonical_json import to_plain
from bench.models.environments import interpreter
from bench.models.spec import ModelSpec
from bench.models.weights import check_available
from bench.models.worker.deploy import copy_worker_files
from bench.models.worker.process import WorkerDied, WorkerProcess
from bench.models.worker.protocol import Message
from bench.results.provenance import PACKAGES
from bench.types import Categories, Category, Image, Panoptic, Prediction, SegmentInfo

MM = ("mmdet", "mmengine", "mmcv", "mmcv-lite", "onedl-mmdetection", "onedl-mmengine", "onedl-mmcv")
LOAD_SECONDS = 1800.0  # large weights from a slow disk
T = TypeVar("T")


@dataclass(eq=False)
class PreparedImage:
    """An image and the worker that holds its preprocessed form, None if none does; `retried` after one restart."""

    image: Image
    key: int
    link: WorkerProcess | None = None
    retried: bool = False


@dataclass(eq=False)
class Batch:
    """Images of one `infer` call, kept so that it can be repeated."""

    members: Sequence[PreparedImage]
    key: int
    link: WorkerProcess | None = None
    guard: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, eq=False)
class RemoteOutput:
    """Position of one image's output: batch and index."""

    batch: Batch
    index: int


class RemoteAdapter:
    """Adapter of `spec` in the interpreter of its `env`. Must be closed, since it owns a process."""

    categories: Categories

    def __init__(self, spec: ModelSpec, device: str = "auto") -> None:
        check_available(spec)
        assert spec.env is not None
        self._spec, self._device = spec, device
        self._python = interpreter(spec.env)
        self._tree = copy_worker_files(spec)
        self._keys = itertools.count()
        self._starting = threading.Lock()
        self._retrying = threading.Lock()
        self._closed: PartialRun | None = None
        about = self._start()
        self.categories = Categories(tuple(Category(**c | {"color": tuple(c["color"])}) for c in about["categories"]))
        self.device, self.parameters, self.revision = about["device"], about["parameters"], about["revision"]
        self.threads = about["threads"]
        greeting = self._link.handshake
        self.worker = {"env": spec.env, "python": greeting["python"], "packages": about["packages"]}

    def close(self) -> None:
        """Kill the worker; pending calls fail, and no new worker is started."""
        self._closed = PartialRun("the worker was closed")
        self._link.close()

    def preprocess(self, image: Image) -> PreparedImage:
        ready = PreparedImage(image, next(self._keys))
        return self._with_retry([ready], "preprocess", lambda: self._prepared(ready, self._current()))

    def infer(self, batch: Sequence[PreparedImage]) -> list[RemoteOutput]:
        made = Batch(batch, next(self._keys))
        count = self._with_retry(batch, "infer", lambda: self._inferred(made, self._current()))
        return [RemoteOutput(made, i) for i in range(count)]

    def postprocess(self, output: RemoteOutput, size: tuple[int, int]) -> Prediction:
        return self._with_retry(
            output.batch.members, "postprocess", lambda: self._finished(output, size, self._current())
        )

    def multiply_adds(self, image: Image) -> int | None:
        """Return the multiply-adds of the worker's network for one image. A worker that has died is not restarted."""
        answer = self._call(self._link, "count", {"image_id": image.image_id}, rgb=image.rgb)
        found: int | None = answer.header["multiply_adds"]
        return found

    def unlisted_modules(self) -> list[str]:
        """Return the files of local modules that the worker has loaded besides the copied ones; [] if it has died."""
        with suppress(WorkerDied, ModelError, PartialRun):
            return [str(path) for path in self._call(self._link, "modules", {}).header["files"]]
        return []

    def _prepared(self, ready: PreparedImage, link: WorkerProcess) -> PreparedImage:
        values = {"key": ready.key, "image_id": ready.image.image_id}
        self._call(link, "preprocess", values, rgb=ready.image.rgb)
        ready.link = link
        return ready

    def _inferred(self, batch: Batch, link: WorkerProcess) -> int:
        """Run a batch in its original composition; images whose worker died are preprocessed again first."""
        for ready in batch.members:
            if ready.link is not link:
                self._prepared(ready, link)
        answer = self._call(link, "infer", {"key": batch.key, "keys": [ready.key for ready in batch.members]})
        for ready in batch.members:
            ready.link = None
        batch.link = link
        return int(answer.header["outputs"])

    def _finished(self, output: RemoteOutput, size: tuple[int, int], link: WorkerProcess) -> Prediction:
        batch = output.batch
        with batch.guard:  # its images are postprocessed on several threads; one of them does it again for all
            if batch.link is not link:
                self._inferred(batch, link)
        values = {"key": batch.key, "index": output.index, "size": list(size)}
        return _prediction(self._call(link, "postprocess", values))

    def _call(self, link: WorkerProcess, call: str, values: dict[str, Any], **arrays: np.ndarray[Any, Any]) -> Message:
        return link.call(call, values, arrays, self._spec.deadline)

    def _with_retry(self, images: Sequence[PreparedImage], stage: str, work: Callable[[], T]) -> T:
        """Return `work()`, repeated once in a new worker if the first one dies. Raises PartialRun if that dies, too."""
        try:
            return work()
        except WorkerDied as lost:
            first = lost
        with self._retrying:  # one at a time: what kills the next worker is then known, and takes nobody with it
            if any(ready.retried for ready in images):
                raise _partial(images, stage, first)
            for ready in images:
                ready.retried = True
            try:
                return work()
            except WorkerDied as lost:
                raise _partial(images, stage, lost) from None

    def _current(self) -> WorkerProcess:
        with self._starting:
            if not self._link.alive:
                self._link.close()
                self._restart()
            return self._link

    def _restart(self) -> None:
        if self._closed is None:
            try:
                self._start()
                return
            except ModelError as error:
                self._closed = PartialRun(f"the worker was lost and cannot be started again: {error}")
        raise self._closed

    def _start(self) -> Mapping[str, Any]:
        spec = self._spec
        try:
            self._link = link = WorkerProcess(self._python, self._tree.folder)
        except (ModelError, OSError) as error:
            raise ModelError(f"{spec.name}: {self._python}: {error}") from None
        values = {
            "module": self._tree.module,
            "file": None if self._tree.file is None else str(self._tree.file),
            "class": spec.adapter.rpartition(":")[2],
            "spec": {**to_plain(spec), "space": to_plain(spec.space.items)},
            "device": self._device,
            "packages": [*PACKAGES, *MM, "detectron2"],
        }
        try:
            if self._closed is not None:
                raise self._closed
            return link.call("load", values, {}, LOAD_SECONDS).header
        except (ModelError, PartialRun, WorkerDied) as error:
            link.close()
            raise ModelError(f"{spec.name} cannot be loaded in env {spec.env}: {_said(error)}") from None


def _said(error: Exception) -> str:
    return f"the worker {error}" if isinstance(error, WorkerDied) else str(error)


def _partial(images: Sequence[PreparedImage], stage: str, lost: WorkerDied) -> PartialRun:
    names = ", ".join(repr(ready.image.image_id) for ready in images[:3])
    return PartialRun(f"image {names}: two workers were lost in {stage}; the last one {lost}")


def _prediction(frame: Message) -> Prediction:
    maps = {name: array.astype(np.int32) for name, array in frame.arrays.items()}
    infos = tuple(SegmentInfo(*values) for values in frame.header["segments"])
    return Prediction(Panoptic(maps["id_map"], infos), maps.get("semantic"), frame.header["seconds"])
