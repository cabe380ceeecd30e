"""A worker process: start, requests, end. `remote` decides on a restart."""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from io import FileIO
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from numpy.typing import NDArray

from bench.errors import ModelError
from bench.models.worker.protocol import PROTOCOL, Message, ProtocolError, read_frame, write_frame

START = """\
import sys
if sys.version_info < (3, 9):
    sys.exit("a worker needs Python 3.9 or newer, this is " + sys.version.split()[0])
sys.path.insert(0, sys.argv.pop(1))
from bench.models.worker.server import main
main()
"""
PIPE_BYTES = 1 << 20
START_SECONDS = 120.0
GONE_SECONDS = 5.0


class WorkerDied(Exception):
    """The worker died, hung or broke the protocol; its unfinished requests must be repeated in another worker."""


class WorkerProcess:
    """A running worker process. Thread-safe; one thread writes requests, another reads answers.

    A worker that exceeds a time limit or breaks the protocol is killed. All pending and later calls then raise
    WorkerDied.
    """

    def __init__(self, python: Path, tree: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), "-I", "-u", "-c", START, str(tree)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            start_new_session=True,  # Ctrl-C is for the run; it ends its worker itself
        )  # fmt: skip
        for pipe in (self._process.stdin, self._process.stdout):
            _widen(pipe)
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Message]] = {}
        self._guard = threading.Lock()
        self._lost: str | None = None
        self._outbox: SimpleQueue[Message | None] = SimpleQueue()
        self._said: deque[str] = deque(maxlen=20)
        self._hello: Future[Message] = Future()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._forward_stderr, self._write, self._read)
        ]
        for thread in self._threads:
            thread.start()
        self.handshake = self._handshake()

    def _handshake(self) -> Mapping[str, Any]:
        """Return the worker's first message. Raises ModelError, not WorkerDied, if there is none: no work was lost."""
        try:
            hello = self._hello.result(START_SECONDS).header
        except TimeoutError:
            self.close(f"gave no greeting in {START_SECONDS:.0f} s")
            raise ModelError(f"the worker {self._lost}") from None
        except WorkerDied as error:
            self.close("")
            raise ModelError(f"the worker {error}") from None
        if hello.get("hello") != PROTOCOL:
            self.close("speaks another protocol")
            raise ModelError(f"the worker speaks protocol {hello.get('hello')!r}, this is {PROTOCOL}: update both")
        return hello

    def call(self, name: str, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], seconds: float) -> Message:
        """Send a request and return the answer.

        Raises ModelError if the worker reports an error, WorkerDied if it dies or gives no answer within `seconds`.
        """
        number, answer = next(self._numbers), Future[Message]()
        with self._guard:
            if self._lost is not None:
                raise WorkerDied(self._lost)
            self._waiting[number] = answer
        self._outbox.put(Message({"id": number, "call": name, **values}, arrays))
        try:
            frame = answer.result(seconds)
        except TimeoutError:
            self._kill(f"gave no answer to {name} in {seconds:g} s")
            raise WorkerDied(self._lost) from None
        if "error" in frame.header:
            raise _error_of(frame.header)
        return Message(frame.header["result"], frame.arrays)

    @property
    def alive(self) -> bool:
        return self._lost is None

    def close(self, reason: str = "was closed") -> None:
        self._kill(reason)
        self._process.wait()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(GONE_SECONDS)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            with suppress(OSError):
                stream.close()

    def _kill(self, reason: str) -> None:
        """Kill the process group of the worker and fail all pending calls; the first `reason` is kept."""
        with self._guard:
            if self._lost is None:
                self._lost = reason
            waiting, self._waiting = self._waiting, {}
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._outbox.put(None)
        for future in (self._hello, *waiting.values()):
            if not future.done():
                future.set_exception(WorkerDied(self._lost))

    def _write(self) -> None:
        stream = self._process.stdin
        assert isinstance(stream, FileIO)
        while (frame := self._outbox.get()) is not None:
            try:
                write_frame(stream, frame)
            except OSError:
                return  # the reader sees the end of the other pipe and knows more

    def _read(self) -> None:
        stream = self._process.stdout
        assert isinstance(stream, FileIO)
        try:
            frame = read_frame(stream, skip_noise=True)
            if frame is not None:
                self._hello.set_result(frame)
            while frame is not None:
                frame = read_frame(stream)
                if frame is not None:
                    self._hand_out(frame)
            self._kill(self._ending())
        except ProtocolError as error:
            self._kill(f"wrote something else than frames ({error})")

    def _hand_out(self, frame: Message) -> None:
        with self._guard:
            answer = self._waiting.pop(frame.header.get("id", -1), None)
        if answer is None:
            raise ProtocolError(f"an answer to a question that nobody asked ({frame.header.get('id')!r})")
        answer.set_result(frame)

    def _ending(self) -> str:
        try:
            code = self._process.wait(GONE_SECONDS)
        except subprocess.TimeoutExpired:
            return "closed its output"
        self._threads[0].join(GONE_SECONDS)
        last = f": {self._said[-1]}" if self._said else ""
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit status {code}"
        return how + last

    def _forward_stderr(self) -> None:
        assert self._process.stderr is not None
        rest = b""
        while chunk := self._process.stderr.read(1 << 16):
            os.write(2, chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            self._said.extend(text for line in lines if (text := line.decode(errors="replace").strip()))


def _widen(pipe: IO[bytes] | None) -> None:
    if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _error_of(header: Mapping[str, Any]) -> ModelError:
    if str(header.get("missing")).startswith("bench."):
        return ModelError(
            f"a worker has no {header['missing']}: of bench there are types, errors, adapter and fusion; "
            "import other names under `if TYPE_CHECKING`"
        )
    if header.get("missing"):
        return ModelError(f"its environment lacks the package {header['missing']}")
    return ModelError(header["error"])
