"""A worker process: start, requests, end. `remote` decides on a restart."""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from numpy.typing import NDArray

from bench.errors import ModelError
from bench.models.worker.protocol import PROTOCOL, Message, ProtocolError, read_message, write_message

START = """\
import sys
if sys.version_info < (3, 9):
    sys.exit("a worker needs Python 3.9 or newer, this is " + sys.version.split()[0])
sys.path.insert(0, sys.argv.pop(1))
from bench.models.worker.server import main
main()
"""
# The most that Linux gives a pipe of an ordinary user; an image takes few wake-ups then.
PIPE_BYTES = 1 << 20
START_SECONDS = 120.0  # until the first message; a framework is imported later, by `load`
GONE_SECONDS = 5.0  # for the end of a killed process


class WorkerDied(Exception):
    """The worker died, hung or broke the protocol; its unfinished requests are lost."""


class WorkerProcess:
    """A running worker process. Thread-safe; one thread writes requests, another reads answers.

    A worker that exceeds a time limit or breaks the protocol is killed. All pending and later calls then raise
    WorkerDied.
    """

    def __init__(self, python: Path, tree: Path) -> None:
        requests, self._requests = Pipe(duplex=False)
        self._answers, answers = Pipe(duplex=False)
        with requests, answers:
            ends = (requests.fileno(), answers.fileno())
            self._process = subprocess.Popen(
                # -I: PYTHONPATH and the user's site-packages must not reach into the worker's environment.
                [str(python), "-I", "-u", "-c", START, str(tree), *map(str, ends)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0, pass_fds=ends,
                # Ctrl-C reaches the process group of the run, which then ends its worker itself.
                start_new_session=True,
            )  # fmt: skip
        for pipe in (self._requests, self._answers):
            _widen(pipe)
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Message]] = {}
        self._guard = threading.Lock()
        self._lost: str | None = None
        self._outbox: SimpleQueue[Message | None] = SimpleQueue()
        self._said: deque[str] = deque(maxlen=20)
        self._threads: list[threading.Thread] = []
        self._begin(self._forward_prints)
        self.handshake = self._handshake()
        self._begin(self._write)
        self._begin(self._read)

    def _begin(self, work: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=work, daemon=True))
        self._threads[-1].start()

    def _handshake(self) -> Mapping[str, Any]:
        """Return the worker's first message. Raises ModelError, not WorkerDied, if there is none: no work was lost."""
        reason = f"gave no greeting in {START_SECONDS:.0f} s"
        try:
            if self._answers.poll(START_SECONDS):
                hello = read_message(self._answers).header
                if hello.get("hello") == PROTOCOL:
                    return hello
                reason = f"uses protocol {hello.get('hello')!r}, not {PROTOCOL}; update both"
        except (EOFError, ProtocolError) as error:
            reason = self._why(error)
        self.close(reason)
        raise ModelError(f"the worker {reason}")

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
            message = answer.result(seconds)
        except TimeoutError:
            self._kill(f"gave no answer to {name} in {seconds:g} s")
            raise WorkerDied(self._lost) from None
        if "error" in message.header:
            raise _error_of(message.header)
        return Message(message.header["result"], message.arrays)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._lost is None and self._process.poll() is None

    def close(self, reason: str = "was closed") -> None:
        self._kill(reason)
        self._process.wait()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(GONE_SECONDS)
        assert self._process.stdout is not None
        for pipe in (self._requests, self._answers, self._process.stdout):
            pipe.close()

    def _kill(self, reason: str) -> None:
        """Kill the process group of the worker and fail all pending calls; the first `reason` is kept."""
        with self._guard:
            if self._lost is None:
                self._lost = reason
            waiting, self._waiting = self._waiting, {}
        with suppress(ProcessLookupError):
            # The group, since frameworks start processes of their own.
            os.killpg(self._process.pid, signal.SIGKILL)
        # Ends the writing thread.
        self._outbox.put(None)
        for future in waiting.values():
            future.set_exception(WorkerDied(self._lost))

    def _write(self) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                write_message(self._requests, message)
            except OSError:
                # The reader meets the end of the other pipe and finds out why.
                return

    def _read(self) -> None:
        try:
            while True:
                self._hand_out(read_message(self._answers))
        except (EOFError, ProtocolError) as error:
            self._kill(self._why(error))

    def _hand_out(self, message: Message) -> None:
        with self._guard:
            answer = self._waiting.pop(message.header.get("id", -1), None)
        if answer is None:
            raise ProtocolError(f"an answer to an unknown request ({message.header.get('id')!r})")
        answer.set_result(message)

    def _why(self, error: Exception) -> str:
        """Return what became of the worker, by the error of reading from it; waits for the end of its process."""
        if isinstance(error, ProtocolError):
            return f"wrote something other than messages ({error})"
        try:
            code = self._process.wait(GONE_SECONDS)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        self._threads[0].join(GONE_SECONDS)
        last = f": {self._said[-1]}" if self._said else ""
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit status {code}"
        return how + last

    def _forward_prints(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while chunk := self._process.stdout.read(1 << 16):
            os.write(2, chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            self._said.extend(text for line in lines if (text := line.decode(errors="replace").strip()))


def _widen(pipe: Connection) -> None:
    if hasattr(fcntl, "F_SETPIPE_SZ"):
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
