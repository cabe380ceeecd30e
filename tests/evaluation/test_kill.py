"""kill -9 at any point costs time only: the resumed run is the undisturbed one, to the byte."""

from __future__ import annotations

import json
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import pytest
from fakes import bench, write_model, write_tree

IMAGES = 24
KILLS = {1: 10, 2: 10}  # batch size → kills; together 20, and 6 of them inside a line
INSIDE = {1: (2, 5, 7), 2: (1, 4, 8)}  # which of the kills tear an image line
PATIENCE = 120.0  # seconds until a process that does nothing counts as broken

# Kills its own process when half of the nth line of a file is written. argv: file name, n, then bench's own.
TEAR = """\
import os, signal, sys
from bench.io import files

name, left = sys.argv.pop(1), int(sys.argv.pop(1))
open_append = files.open_append

class Torn:
    def __init__(self, stream):
        self.stream, self.left = stream, left
    def __getattr__(self, attribute):
        return getattr(self.stream, attribute)
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.stream.close()
    def write(self, text):
        self.left -= 1
        if self.left > 0:
            return self.stream.write(text)
        self.stream.write(text[: len(text) // 2])
        self.stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)

files.open_append = lambda path: Torn(open_append(path)) if path.name == name else open_append(path)
from bench.cli import main
main()
"""


@dataclass(frozen=True)
class Setup:
    """A data set of 24 images and a user's model; `last` is the image at which a killed process hangs."""

    data: Path
    model: Path
    last: str

    def start(self, out: Path, batch: int, *python: str, **environment: str) -> Popen[str]:
        return bench(
            "run", "--model", self.model, "--dataset", "cityscapes", "--data-root", self.data,
            "--out", out, "--batch-size", batch, python=python or ("-m", "bench"), **environment,
        )  # fmt: skip

    def complete(self, out: Path, batch: int) -> Path:
        """Runs to the end; the run's folder."""
        with self.start(out, batch) as process:
            _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        return next(out.glob("cityscapes-val/mine/*"))


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    folder = tmp_path_factory.mktemp("kill")
    images = write_tree(folder / "data", IMAGES)
    return Setup(folder / "data", write_model(folder), images[-1])


@pytest.fixture(scope="module")
def undisturbed(setup: Setup, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Batch size → a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return {batch: setup.complete(folder / str(batch), batch) for batch in KILLS}


def lines_of(run: Path) -> list[str]:
    """The complete image lines, sorted."""
    return sorted((run / "images-0-of-1.jsonl").read_text(encoding="utf-8").splitlines())


def counted(out: Path) -> int:
    files = list(out.glob("cityscapes-val/mine/*/images-0-of-1.jsonl"))
    return files[0].read_bytes().count(b"\n") if files else 0


def kill_after(setup: Setup, out: Path, batch: int, lines: int, delay: float) -> None:
    """kill -9 from outside, `delay` seconds after the run has `lines` lines; it cannot reach its last image."""
    environment = {"FAKE_SLEEP": "0.01", "FAKE_FAULT": f"{setup.last}=hang"}
    with setup.start(out, batch, **environment) as process:
        deadline = time.monotonic() + PATIENCE
        while counted(out) < lines and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(delay)
        process.kill()
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == -9, errors
    assert lines <= counted(out) < IMAGES


def tear(setup: Setup, out: Path, batch: int, file: str, line: int) -> None:
    """The process kills itself when it has written half of the nth line of `file`."""
    with setup.start(out, batch, "-c", TEAR, file, str(line)) as process:
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == -9, errors


def assert_same(run: Path, undisturbed: Path) -> None:
    lines = lines_of(run)
    assert len({json.loads(line)["image_id"] for line in lines}) == len(lines) == IMAGES
    assert lines == lines_of(undisturbed)
    done, expected = (json.loads((folder / "done.json").read_text()) for folder in (run, undisturbed))
    assert {**done, "finished": None} == {**expected, "finished": None}
    for made in sorted((undisturbed / "predictions").glob("**/*.png")):
        assert (run / made.relative_to(undisturbed)).read_bytes() == made.read_bytes()
    made = Path("predictions/predictions.json")
    assert (run / made).read_bytes() == (undisturbed / made).read_bytes()


@pytest.mark.parametrize("batch", KILLS)
def test_kills_at_random_points_change_nothing(
    setup: Setup, undisturbed: dict[int, Path], tmp_path: Path, batch: int
) -> None:
    rng = random.Random(batch)
    # A few images are always under way, so that the run comes to stand some images before its last one.
    targets = sorted(rng.choices(range(1, IMAGES - 8), k=KILLS[batch]))
    for kill, target in enumerate(targets):
        if kill in INSIDE[batch]:
            tear(setup, tmp_path, batch, "images-0-of-1.jsonl", rng.randint(1, 2))
            assert not (next(tmp_path.glob("*/mine/*")) / "images-0-of-1.jsonl").read_bytes().endswith(b"\n")
        else:
            kill_after(setup, tmp_path, batch, target, rng.uniform(0, 0.05))
    assert 0 < counted(tmp_path) < IMAGES
    assert_same(setup.complete(tmp_path, batch), undisturbed[batch])


def test_a_kill_inside_a_prediction_line_changes_nothing(
    setup: Setup, undisturbed: dict[int, Path], tmp_path: Path
) -> None:
    tear(setup, tmp_path, 1, "annotations.jsonl", 9)
    assert_same(setup.complete(tmp_path, 1), undisturbed[1])


@pytest.mark.parametrize("change", ["lost", "doubled"])
def test_the_comparison_notices_a_lost_and_a_doubled_line(
    undisturbed: dict[int, Path], tmp_path: Path, change: str
) -> None:
    run = shutil.copytree(undisturbed[1], tmp_path / "run")
    lines = lines_of(run)
    (run / "images-0-of-1.jsonl").write_text("\n".join(lines[1:] if change == "lost" else [*lines, lines[0]]) + "\n")
    with pytest.raises(AssertionError):
        assert_same(run, undisturbed[1])
