"""RemoteAdapter: a model in another Python interpreter, with the interface of any other adapter.

The three stages run in the worker and overlap as in one process. A worker that is lost (crash, kill, timeout or broken
protocol) while it holds images ends the run: PartialRun names them. Between batches a lost one is restarted, once.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.errors import ModelError, PartialRun
from bench.io.canonical_json import to_plain
from bench.models.environments import interpreter
from bench.models.spec import ModelSpec
from bench.models.worker.deploy import copy_worker_files
from bench.models.worker.process import WorkerDied, WorkerProcess
from bench.models.worker.protocol import Message
from bench.results.provenance import PACKAGES
from bench.types import Categories, Image, Panoptic, Prediction, SegmentInfo

MM = ("mmdet", "mmengine", "mmcv", "mmcv-lite", "onedl-mmdetection", "onedl-mmengine", "onedl-mmcv")
# Large weights can come from a slow disk.
LOAD_SECONDS = 1800.0
NAMED = 8  # images in the message of a lost worker


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image whose preprocessed form the worker holds, by its key there."""

    image_id: str
    key: int


@dataclass(frozen=True, eq=False)
class RemoteOutput:
    """Position of one image's output in the worker: the batch, its key, and the index in it."""

    batch: Sequence[PreparedImage]
    key: int
    index: int


class RemoteAdapter:
    """Adapter of `spec` in the interpreter of its `env`. Must be closed, since it owns a process."""

    categories: Categories

    def __init__(self, spec: ModelSpec, device: str = "auto") -> None:
        assert spec.env is not None
        self._spec, self._device = spec, device
        self._python = interpreter(spec.env)
        self._tree = copy_worker_files(spec)
        self._keys = itertools.count()
        # The images that are lost if the worker dies: key → image id, from preprocess to the end of postprocess.
        self._in_hand: dict[int, str] = {}
        self._guard = threading.Lock()
        self._restarts, self._closed = 1, False
        about = self._start()
        self.categories = Categories.from_json(about["categories"])
        self.device, self.parameters, self.revision = about["device"], about["parameters"], about["revision"]
        self.threads, self.hardware, self.uuid = about["threads"], about["hardware"], about["uuid"]
        greeting = self._link.handshake
        self.worker = {"env": spec.env, "python": greeting["python"], "packages": about["packages"]}

    @property
    def pid(self) -> int:
        """The process of the worker."""
        return self._link.pid

    def close(self) -> None:
        """Kill the worker; pending calls fail, and no new worker is started."""
        self._closed = True
        self._link.close()

    def preprocess(self, image: Image) -> PreparedImage:
        ready = PreparedImage(image.image_id, next(self._keys))
        with self._guard:
            if not (self._in_hand or self._link.alive):
                self._restart()
            self._in_hand[ready.key] = image.image_id
        self._work("preprocess", {"key": ready.key, "image_id": image.image_id}, rgb=image.rgb)
        return ready

    def infer(self, batch: Sequence[PreparedImage]) -> list[RemoteOutput]:
        key = next(self._keys)
        answer = self._work("infer", {"key": key, "keys": [ready.key for ready in batch]})
        return [RemoteOutput(batch, key, i) for i in range(answer.header["outputs"])]

    def postprocess(self, output: RemoteOutput, size: tuple[int, int]) -> Prediction:
        answer = self._work("postprocess", {"key": output.key, "index": output.index, "size": list(size)})
        with self._guard:
            del self._in_hand[output.batch[output.index].key]
        return _prediction(answer)

    def multiply_adds(self, image: Image) -> int | None:
        """Return the multiply-adds of the worker's network for one image. A worker that has died is not restarted."""
        answer = self._call("count", {"image_id": image.image_id}, rgb=image.rgb)
        found: int | None = answer.header["multiply_adds"]
        return found

    def device_peak(self, reset: bool = False) -> int | None:
        """Return the peak memory of the worker's device in bytes since the last reset; None on the CPU."""
        found: int | None = self._call("peak", {"reset": reset}).header["bytes"]
        return found

    def unlisted_modules(self) -> list[str]:
        """Return the files of local modules that the worker has loaded besides the copied ones; [] if it has died."""
        with suppress(WorkerDied, ModelError):
            return [str(path) for path in self._call("modules", {}).header["files"]]
        return []

    def _call(self, call: str, values: dict[str, Any], **arrays: np.ndarray[Any, Any]) -> Message:
        return self._link.call(call, values, arrays, self._spec.deadline)

    def _work(self, stage: str, values: dict[str, Any], **arrays: np.ndarray[Any, Any]) -> Message:
        """Return the worker's answer. Raises PartialRun if it is lost: the images in hand are lost with it."""
        try:
            return self._call(stage, values, **arrays)
        except WorkerDied as lost:
            with self._guard:
                names = list(map(repr, self._in_hand.values()))
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            raise PartialRun(f"the worker {lost}; it held image {', '.join(names[:NAMED])}{more}") from None

    def _restart(self) -> None:
        if self._closed or not self._restarts:
            # The next call raises WorkerDied with the reason.
            return
        # Once: a worker that dies twice would die again, and the run would go round in circles.
        self._restarts -= 1
        self._link.close()
        try:
            self._start()
        except ModelError as error:
            raise PartialRun(f"the worker was lost and cannot be started again: {error}") from None

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
            "spec": {**to_plain(spec), "space": spec.space.to_json()},
            "device": self._device,
            "packages": [*PACKAGES, *MM, "detectron2"],
        }
        try:
            if self._closed:
                raise ModelError("the worker was closed")
            return link.call("load", values, {}, LOAD_SECONDS).header
        except (ModelError, WorkerDied) as error:
            link.close()
            raise ModelError(f"{spec.name} cannot be loaded in env {spec.env}: {_said(error)}") from None


def _said(error: Exception) -> str:
    return f"the worker {error}" if isinstance(error, WorkerDied) else str(error)


def _prediction(message: Message) -> Prediction:
    maps = {name: array.astype(np.int32) for name, array in message.arrays.items()}
    infos = tuple(SegmentInfo(*values) for values in message.header["segments"])
    return Prediction(Panoptic(maps["id_map"], infos), maps.get("semantic"), message.header["seconds"])
