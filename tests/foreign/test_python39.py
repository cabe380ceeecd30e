"""The worker's own files in a real Python 3.9, with nothing but numpy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from fakes import write_model, write_tree

from bench.datasets.registry import load_dataset
from bench.evaluation.run import run
from bench.models.environments import create_env, read_env
from bench.models.resolve import resolve_model

pytestmark = pytest.mark.foreign


def python39() -> str:
    """An interpreter of Python 3.9: one on the path, or one of pyenv's."""
    known = ["python3.9", *map(str, Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9"))]
    for name in known:
        try:
            done = subprocess.run([name, "-I", "-c", "import sys; print(sys.version_info[:2])"], capture_output=True)
        except OSError:
            continue
        if done.stdout.strip() == b"(3, 9)":
            return name
    pytest.skip("there is no Python 3.9 here")


def test_a_worker_of_python_3_9_gives_the_same_run(tmp_path: Path) -> None:
    requirements = tmp_path / "python39.txt"
    requirements.write_text("#: check numpy\nnumpy<2.1\n")
    env = create_env(read_env(str(requirements)), python39())
    write_tree(tmp_path / "data")
    data, yaml = load_dataset("cityscapes", tmp_path / "data"), write_model(tmp_path)
    here = run(resolve_model(str(yaml), "cityscapes"), data, tmp_path / "here")
    yaml.write_text(yaml.read_text() + f"env: {env}\n")
    there = run(resolve_model(str(yaml), "cityscapes"), data, tmp_path / "there")
    assert there.meta.worker["python"].startswith("3.9.")
    assert there.done is not None and here.done is not None
    assert there.done.images_sha256 == here.done.images_sha256
