"""The worker process: serves one adapter to `bench.models.worker.remote` over pipes, in its own interpreter.

    worker → run    {"hello": 1, "python": ..., "numpy": ...}
    run → worker    {"id": 0, "call": "load", ...}, then preprocess, infer and postprocess, many at a time
    worker → run    {"id": n, "result": {...}} or {"id": n, "error": "...", "missing": module or null}

A reader thread receives requests; preprocess and postprocess run on thread pools, all other calls on the main
thread. The pipes have descriptors of their own, so that output of the framework never mixes with messages.
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import sys
import sysconfig
import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import ModelError, describe_error
from bench.fusion.presets import FusionSpec
from bench.models.adapter import Adapter, as_adapter, module_from_file, torch_threads
from bench.models.devices import concrete_device, device_name, device_peak, device_uuid
from bench.models.flops import count_macs
from bench.models.worker.protocol import PROTOCOL, Message, read_message, write_message
from bench.parallel import WORKERS
from bench.types import Categories, Image, Prediction, SegmentInfo


def main() -> None:
    """Serve requests until the run closes its end of the pipe or dies."""
    requests, answers = (int(sys.argv.pop(1)) for _ in range(2))
    for end in (requests, answers):
        # A process that the framework starts would keep the pipe open after the worker's end.
        os.set_inheritable(end, False)
    Worker(Connection(requests, writable=False), Connection(answers, readable=False)).serve()


class Worker:
    """Serves the requests of one run; answers may be out of order. The first request must be `load`."""

    def __init__(self, requests: Connection, answers: Connection) -> None:
        self._requests, self._answers = requests, answers
        self._sending = threading.Lock()
        self._main: Queue[Message] = Queue()
        self._pools = {stage: ThreadPoolExecutor(WORKERS) for stage in ("preprocess", "postprocess")}
        self._held = StageServer()

    def serve(self) -> None:
        """Serve forever; the reader thread ends the process."""
        self._send(Message({"hello": PROTOCOL, "python": platform.python_version(), "numpy": np.__version__}))
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            self._answer(self._main.get())

    def _read(self) -> None:
        """Dispatch requests. The end of the stream ends the process, even if the framework hangs."""
        try:
            while True:
                message = read_message(self._requests)
                pool = self._pools.get(message.header["call"])
                if pool is None:
                    self._main.put(message)
                else:
                    pool.submit(self._answer, message)
        finally:
            os._exit(0)

    def _answer(self, message: Message) -> None:
        number = message.header["id"]
        try:
            answer = getattr(self._held, message.header["call"])(message)
            self._send(Message({"id": number, "result": dict(answer.header)}, answer.arrays))
        except (Exception, SystemExit) as error:
            if os.environ.get("BENCH_DEBUG"):
                traceback.print_exc()
            said = describe_error(error)
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            self._send(Message({"id": number, "error": said, "missing": missing}))

    def _send(self, message: Message) -> None:
        try:
            # Answers come from several threads, and the parts of a message must stay together.
            with self._sending:
                write_message(self._answers, message)
        except BrokenPipeError:
            os._exit(0)


class StageServer:
    """The adapter and the intermediate results of its stages, by the keys that the run assigns."""

    def __init__(self) -> None:
        self._adapter: Adapter | None = None
        self._ready: dict[int, Any] = {}
        self._outputs: dict[tuple[int, int], Any] = {}

    @property
    def adapter(self) -> Adapter:
        if self._adapter is None:
            raise ModelError("the model is not loaded")
        return self._adapter

    def load(self, message: Message) -> Message:
        """Load the model and return its metadata for run.json."""
        header = message.header
        own, shipped = header["file"], f"bench.adapters.{header['module']}"
        module = module_from_file(Path(own)) if own else importlib.import_module(shipped)
        model = getattr(module, header["class"], None)
        if model is None:
            raise ModelError(f"{module.__file__} has no class {header['class']!r}")
        device = concrete_device(header["device"])
        self._adapter = as_adapter(model(spec_from_json(header["spec"]), device))
        about = {name: getattr(self._adapter, name, None) for name in ("parameters", "revision")}
        about["threads"] = torch_threads()
        device = str(getattr(self._adapter, "device", device))
        about["categories"] = self._adapter.categories.to_json()
        about["hardware"] = getattr(self._adapter, "hardware", None) or device_name(device)
        about["uuid"] = device_uuid(device)
        return Message({**about, "device": device, "packages": _packages(header["packages"])})

    def preprocess(self, message: Message) -> Message:
        """Preprocess one image and keep the result."""
        image = Image(message.header["image_id"], message.arrays["rgb"])
        self._ready[message.header["key"]] = self.adapter.preprocess(image)
        return Message({})

    def infer(self, message: Message) -> Message:
        """Run a batch of preprocessed images and keep the outputs; return their number."""
        outputs = self.adapter.infer([self._ready.pop(key) for key in message.header["keys"]])
        for i, output in enumerate(outputs):
            self._outputs[message.header["key"], i] = output
        return Message({"outputs": len(outputs)})

    def postprocess(self, message: Message) -> Message:
        height, width = message.header["size"]
        output = self._outputs.pop((message.header["key"], message.header["index"]))
        return encode_prediction(self.adapter.postprocess(output, (height, width)))

    def modules(self, message: Message) -> Message:
        """Return the files of loaded modules that are neither installed nor in this worker's folder."""
        paths = sysconfig.get_paths()
        installed = [paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
        known = (str(Path(__file__).resolve().parents[3]), *(os.path.realpath(path) for path in installed))
        named = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        loaded = {os.path.realpath(str(file)) for file in named if file}
        local = (path for path in loaded if not path.startswith(known) and "-packages" + os.sep not in path)
        return Message({"files": sorted(local)})

    def peak(self, message: Message) -> Message:
        device = str(getattr(self.adapter, "device", "cpu"))
        return Message({"bytes": device_peak(device, message.header["reset"])})

    def count(self, message: Message) -> Message:
        image = Image(message.header["image_id"], message.arrays["rgb"])
        return Message({"multiply_adds": count_macs(self.adapter, image)})


def _packages(names: list[str]) -> dict[str, str]:
    installed = {}
    for name in names:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def spec_from_json(plain: Mapping[str, Any]) -> SimpleNamespace:
    """Decode a ModelSpec's JSON as an object with its attributes; `fusion` and `space` have their original types."""
    values = {key: _tuples(value) for key, value in plain.items()}
    values["fusion"] = FusionSpec(**values["fusion"])
    values["space"] = Categories.from_json(plain["space"])
    values["input"] = SimpleNamespace(**plain["input"])
    # Frameworks take lists where the other settings are tuples.
    if plain.get("framework") is not None:
        values["framework"] = SimpleNamespace(**plain["framework"])
    return SimpleNamespace(**values)


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def encode_prediction(prediction: Prediction) -> Message:
    """Encode a prediction, with maps in the smallest integer dtype that holds them, usually a quarter of the bytes."""
    arrays = {"id_map": _narrow(prediction.panoptic.id_map)}
    if prediction.semantic is not None:
        arrays["semantic"] = _narrow(prediction.semantic)
    segments = [_segment(info) for info in prediction.panoptic.segments_info]
    return Message({"segments": segments, "seconds": dict(prediction.seconds)}, arrays)


def _segment(info: SegmentInfo) -> list[Any]:
    """Return the fields in order as Python numbers, since adapters may use numpy scalars."""
    # Adapters may use numpy scalars, which JSON does not encode.
    score = None if info.score is None else float(info.score)
    source, area = (None if value is None else int(value) for value in (info.source_id, info.declared_area))
    return [int(info.category_id), bool(info.iscrowd), score, source, area]


def _narrow(ids: NDArray[Any]) -> NDArray[Any]:
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, 0)
    return ids.astype(np.result_type(np.min_scalar_type(low), np.min_scalar_type(high)), copy=False)
