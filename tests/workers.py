"""A model that misbehaves on demand, for the tests of the worker: one token file a fault, used up when it strikes."""

from __future__ import annotations

import random
from pathlib import Path

from fakes import MODEL_YAML, write_model

STAGES = ("preprocess", "infer", "postprocess")
KINDS = ("kill", "exit", "hang", "garbage", "half", "stray")

# Wraps Bands of the user's file. A token is a file faults/<image id>.<stage>.<number> that holds the kind of fault.
FAULTY = '''


import signal
import stat
from pathlib import Path



def message_pipe():
    """The file descriptor that the messages go out on: the only pipe for writing beside fds 1 and 2."""
    for fd in range(3, 256):
        try:
            mode = os.fstat(fd).st_mode
            import fcntl
            writes = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
        except OSError:
            continue
        if stat.S_ISFIFO(mode) and writes:
            return fd
    raise AssertionError("no pipe")


def strike(folder, image_id, stage):
    for token in sorted(Path(folder).glob("%s.%s.*" % (image_id, stage))):
        kind = token.read_text()
        token.unlink()
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "exit":
            os._exit(3)
        elif kind == "hang":
            time.sleep(3600)
        elif kind == "garbage":
            os.write(message_pipe(), b"\\x7f" + os.urandom(299))  # the length of a message that is too long
            time.sleep(3600)
        elif kind == "half":
            os.write(message_pipe(), b"\\x00\\x00\\x00\\x40{")
            os._exit(0)
        elif kind == "stray":
            from multiprocessing.connection import Connection
            from bench.models.worker.protocol import Message, write_message
            pipe = Connection(message_pipe(), readable=False)
            write_message(pipe, Message({"id": 10**9, "result": {}}))
            time.sleep(3600)


class Faulty(Bands):
    def __init__(self, spec, device="auto"):
        super().__init__(spec, device)
        self.faults = Path(spec.source) / "faults"
        if (Path(spec.source) / "noisy").exists():
            print("noise on stdout")
            os.system("echo noise of a child")
            os.write(1, b"noise on fd 1\\n")

    def preprocess(self, image):
        strike(self.faults, image.image_id, "preprocess")
        return super().preprocess(image)

    def infer(self, batch):
        for image in batch:
            strike(self.faults, image.image_id, "infer")
        return super().infer(batch)

    def postprocess(self, output, size):
        strike(self.faults, output[0], "postprocess")
        return super().postprocess(output, size)
'''


def write_faulty(folder: Path, python: Path | str, deadline: float = 30.0) -> Path:
    """The user's model with faults, run by `python`; the path of its YAML."""
    yaml = write_model(folder)
    file = folder / "mine.py"
    file.write_text(file.read_text(encoding="utf-8") + FAULTY, encoding="utf-8")
    (folder / "faults").mkdir(exist_ok=True)
    worker = f"env: {python}\ndeadline: {deadline}\n"
    yaml.write_text(MODEL_YAML.format(name="Faulty") + worker, encoding="utf-8")
    return yaml


def plan(folder: Path, rng: random.Random, images: list[str], count: int, kinds: tuple[str, ...] = KINDS) -> None:
    """`count` faults at random images and stages."""
    for number in range(count):
        token = f"{rng.choice(images)}.{rng.choice(STAGES)}.{number:03d}"
        (folder / "faults" / token).write_text(rng.choice(kinds), encoding="utf-8")


def left(folder: Path) -> int:
    """Faults that have not struck yet."""
    return len(list((folder / "faults").iterdir()))
