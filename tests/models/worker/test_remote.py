"""A worker that crashes, hangs, talks nonsense or was never there costs time at most, never a number."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import bench, write_model, write_tree
from workers import KINDS, STAGES, left, plan, write_faulty

from bench.datasets.dataset import Dataset
from bench.datasets.registry import load_dataset
from bench.errors import ModelError, PartialRun
from bench.evaluation.run import run
from bench.models.resolve import resolve_model
from bench.models.worker import remote
from bench.results.run import Run
from bench.types import Image, Prediction

IMAGES = 10


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    write_tree(folder, IMAGES)
    return load_dataset("cityscapes", folder)


@pytest.fixture(scope="module")
def undisturbed(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Run]:
    """Batch size → the run of the same model in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    spec = resolve_model(str(write_model(folder)), "cityscapes")
    return {batch: run(spec, data, folder / "out", batch_size=batch) for batch in (1, 2)}


def run_yaml(yaml: Path, data: Dataset, batch: int = 1) -> Run:
    return run(resolve_model(str(yaml), "cityscapes"), data, yaml.parent / "out", batch_size=batch)


def assert_same(run: Run, undisturbed: Run) -> None:
    assert run.done is not None and undisturbed.done is not None
    ids = [line["image_id"] for line in run.lines()]
    assert len(ids) == len(set(ids)) == IMAGES
    assert replace(run.done, finished="") == replace(undisturbed.done, finished="")
    for made in sorted((undisturbed.folder / "predictions").glob("**/*.png")):
        assert (run.folder / made.relative_to(undisturbed.folder)).read_bytes() == made.read_bytes()


def stressed(yaml: Path, data: Dataset, batch: int, faults: int) -> tuple[Run, int]:
    """The run, repeated by the same command for as long as it ends as partial; how often it did."""
    for partial in range(faults + 1):
        try:
            return run_yaml(yaml, data, batch), partial
        except PartialRun as error:
            assert error.exit_code == 5
    raise AssertionError("more partial runs than faults")


@pytest.mark.parametrize("batch", [1, 2])
def test_a_worker_gives_the_same_run(data: Dataset, undisturbed: dict[int, Run], tmp_path: Path, batch: int) -> None:
    (tmp_path / "noisy").touch()
    done = run_yaml(write_faulty(tmp_path, sys.executable), data, batch)
    assert_same(done, undisturbed[batch])
    assert done.meta.worker["python"] == sys.version.split()[0]
    assert done.meta.threads is None  # of the worker's torch, which it has not loaded


def test_where_it_runs_is_no_part_of_a_run_s_identity(tmp_path: Path, data: Dataset) -> None:
    yaml = write_model(tmp_path)
    here = run(resolve_model(str(yaml), "cityscapes"), data, tmp_path / "out")
    yaml.write_text(yaml.read_text() + f"env: {sys.executable}\n")
    there = run_yaml(yaml, data)
    assert there.folder == here.folder and there.meta.worker is None, "the finished run was to be read"


@pytest.mark.parametrize(("kind", "stage"), [*zip(KINDS, 2 * STAGES, strict=True)])
def test_a_worker_lost_inside_a_batch_ends_the_run_as_partial(
    data: Dataset, undisturbed: dict[int, Run], tmp_path: Path, kind: str, stage: str
) -> None:
    yaml = write_faulty(tmp_path, sys.executable, deadline=5.0 if kind == "hang" else 300.0)
    (tmp_path / "faults" / f"{data.samples[4].image_id}.{stage}.0").write_text(kind)
    done, partial = stressed(yaml, data, 1, 4)
    assert_same(done, undisturbed[1])
    assert left(tmp_path) == 0
    assert partial == 1 or kind == "hang", "a busy machine may miss a short deadline twice, but nothing else"


@pytest.mark.parity
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", STAGES)
def test_every_fault_in_every_stage(
    data: Dataset, undisturbed: dict[int, Run], tmp_path: Path, kind: str, stage: str
) -> None:
    test_a_worker_lost_inside_a_batch_ends_the_run_as_partial(data, undisturbed, tmp_path, kind, stage)


def test_a_partial_run_names_the_images_and_is_resumed(
    data: Dataset, undisturbed: dict[int, Run], tmp_path: Path
) -> None:
    yaml = write_faulty(tmp_path, sys.executable)
    bad = data.samples[6].image_id
    (tmp_path / "faults" / f"{bad}.infer.0").write_text("exit")
    with pytest.raises(PartialRun, match=r"the worker ended with exit status 3.*; it held image ") as told:
        run_yaml(yaml, data)
    assert repr(bad) in str(told.value)
    assert re.search(r"[0-6] of 10 images are scored and kept", str(told.value))
    assert_same(run_yaml(yaml, data), undisturbed[1])
    assert left(tmp_path) == 0


@pytest.fixture
def model(tmp_path: Path) -> Iterator[remote.RemoteAdapter]:
    made = remote.RemoteAdapter(resolve_model(str(write_faulty(tmp_path, sys.executable)), "cityscapes"))
    yield made
    made.close()


def predicted(model: remote.RemoteAdapter, image: Image) -> Prediction:
    return model.postprocess(model.infer([model.preprocess(image)])[0], image.size)


def lose(model: remote.RemoteAdapter) -> None:
    model._link._process.kill()
    model._link._process.wait()


def test_a_worker_that_dies_between_batches_is_restarted_once(data: Dataset, model: remote.RemoteAdapter) -> None:
    image = data.samples[0].read_image()
    first = predicted(model, image)
    lose(model)
    second = predicted(model, image)
    np.testing.assert_array_equal(second.panoptic.id_map, first.panoptic.id_map)
    lose(model)
    with pytest.raises(PartialRun, match=f"was killed by signal 9.*; it held image '{image.image_id}'"):
        predicted(model, image)


def test_a_worker_that_dies_with_an_image_in_hand_is_not_restarted(data: Dataset, model: remote.RemoteAdapter) -> None:
    first, second = (sample.read_image() for sample in data.samples[:2])
    model.preprocess(first)
    lose(model)
    with pytest.raises(PartialRun, match=f"it held image '{first.image_id}', '{second.image_id}'"):
        model.preprocess(second)


def test_a_worker_that_cannot_come_back_is_told(
    data: Dataset, model: remote.RemoteAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(model)
    monkeypatch.setenv("FAKE_FAULT", "load")
    with pytest.raises(PartialRun, match=r"cannot be started again: .*no room for the weights"):
        predicted(model, data.samples[0].read_image())


@pytest.mark.parametrize("fault", ["preprocess", "infer", "memory", "map", "short", "load"])
def test_a_model_s_own_error_reads_as_it_does_in_one_process(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("FAKE_FAULT", "load" if fault == "load" else f"{data.samples[3].image_id}={fault}")
    yaml = write_model(tmp_path)
    kind = PartialRun if fault == "memory" else ModelError
    with pytest.raises(kind) as here:
        run_yaml(yaml, data)
    yaml.write_text(yaml.read_text() + f"env: {sys.executable}\n")
    for folder in (tmp_path / "out").glob("*/mine/*"):
        (folder / "images-0-of-1.jsonl").unlink()
    with pytest.raises(kind) as there:
        run_yaml(yaml, data)
    if fault == "load":
        assert "cannot be loaded" in str(there.value) and "RuntimeError: no room for the weights" in str(there.value)
    else:
        assert str(there.value).splitlines()[0] == str(here.value).splitlines()[0]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exec false", "the worker ended with exit status 1"),
        ("echo no numpy here >&2; exit 7", "ended with exit status 7: no numpy here"),
        ("printf '\\177more than a message' > /dev/fd/$7; sleep 0.05", "wrote something other than messages"),
        ("echo no Python", "ended with exit status 0: no Python"),
    ],
)
def test_an_interpreter_that_is_none_is_told(data: Dataset, tmp_path: Path, script: str, says: str) -> None:
    python = tmp_path / "python.sh"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    with pytest.raises(ModelError, match=says):
        run_yaml(write_faulty(tmp_path, python), data)


def test_a_worker_of_another_version_is_told(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.models.worker.process.PROTOCOL", 99)
    with pytest.raises(ModelError, match="uses protocol 2, not 99"):
        run_yaml(write_faulty(tmp_path, sys.executable), data)


@pytest.mark.parametrize(
    ("env", "says"),
    [("nowhere", "bench env create nowhere"), ("/no/python", "no executable Python"), ("./no", "no executable Python")],
)
def test_an_environment_that_is_not_there_is_told_before_anything_runs(
    data: Dataset, tmp_path: Path, env: str, says: str
) -> None:
    with pytest.raises(ModelError, match=says):
        run_yaml(write_faulty(tmp_path, env), data)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("module", "says"),
    [("no_such", "its environment lacks the package no_such"), ("bench.no_such", "a worker has no bench.no_such")],
)
def test_a_module_that_the_worker_lacks_is_named(data: Dataset, tmp_path: Path, module: str, says: str) -> None:
    yaml = write_faulty(tmp_path, sys.executable)
    file = tmp_path / "mine.py"
    needy = f"\n\nclass Needy:\n    def __init__(self, spec, device):\n        import {module}\n"
    file.write_text(file.read_text() + needy)
    yaml.write_text(yaml.read_text().replace("Faulty", "Needy"))
    with pytest.raises(ModelError, match=says):
        run_yaml(yaml, data)


def test_prints_of_the_worker_go_to_stderr(data: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "noisy").touch()
    run_yaml(write_faulty(tmp_path, sys.executable), data.limited(1))
    said = capfd.readouterr()
    assert said.out == ""
    for text in ("noise on stdout", "noise of a child", "noise on fd 1"):
        assert text in said.err


def test_no_process_is_left_behind(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def noted(*arguments: object, **named: object) -> subprocess.Popen[bytes]:
        process = popen(*arguments, **named)  # type: ignore[call-overload]
        if "-I" in process.args:  # git is asked for the commit, too
            started.append(process)
        return process

    monkeypatch.setattr("bench.models.worker.process.subprocess.Popen", noted)
    yaml = write_faulty(tmp_path, sys.executable)
    (tmp_path / "faults" / f"{data.samples[0].image_id}.infer.0").write_text("garbage")
    with pytest.raises(PartialRun):
        run_yaml(yaml, data.limited(3))
    run_yaml(yaml, data.limited(3))
    assert [process.poll() is not None for process in started] == [True, True]


def test_random_faults_change_nothing(data: Dataset, undisturbed: dict[int, Run], tmp_path: Path) -> None:
    yaml = write_faulty(tmp_path, sys.executable, deadline=5.0)
    plan(tmp_path, random.Random(3), [s.image_id for s in data.samples], 6)
    done, _ = stressed(yaml, data, 2, 6)
    assert_same(done, undisturbed[2])
    assert left(tmp_path) == 0


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The worker processes of a run, by their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) == process.pid and b"bench.models.worker.server" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_ends_takes_its_hung_worker_along(
    data: Dataset, undisturbed: dict[int, Run], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    write_tree(tmp_path / "data", IMAGES)
    yaml = write_faulty(tmp_path, sys.executable, deadline=300.0)
    token = tmp_path / "faults" / f"{data.samples[5].image_id}.infer.0"
    token.write_text("hang")
    command = ["run", "--model", yaml, "--dataset", "cityscapes", "--data-root", tmp_path / "data", "--out",
               tmp_path / "out"]  # fmt: skip
    with bench(*command) as process:
        while token.exists() and process.poll() is None:
            time.sleep(0.02)
        (worker,) = workers_of(process)
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    gone = time.monotonic() + 60
    while Path(f"/proc/{worker}/cmdline").exists() and time.monotonic() < gone:
        time.sleep(0.02)
    assert not Path(f"/proc/{worker}/cmdline").exists()
    assert_same(run_yaml(yaml, data), undisturbed[1])


@pytest.mark.parity
@pytest.mark.parametrize("seed", range(2))
def test_fifty_random_faults_change_nothing(
    data: Dataset, undisturbed: dict[int, Run], tmp_path: Path, seed: int
) -> None:
    yaml = write_faulty(tmp_path, sys.executable, deadline=5.0)
    plan(tmp_path, random.Random(100 + seed), [s.image_id for s in data.samples], 50)
    done, partial = stressed(yaml, data, 1 + seed, 50)
    assert_same(done, undisturbed[1 + seed])
    assert left(tmp_path) == 0
    print(json.dumps({"seed": seed, "batch": 1 + seed, "faults": 50, "partial runs": partial}))
