"""The Makefile gives every interpreter that is asked for an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OWN = f".venv-{sys.version_info.major}.{sys.version_info.minor}"

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or not (ROOT / "Makefile").is_file(), reason="needs make and the Makefile"
)


def dry(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What make would do; nothing of a make that runs these tests is handed on."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHON" and not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "--dry-run", "--always-make", *arguments], cwd=ROOT, env=clean, capture_output=True, text=True
    )


def test_without_an_interpreter_it_is_the_one_that_the_manual_activates() -> None:
    made = dry("test")
    assert (made.returncode, ".venv/bin/python -m pytest" in made.stdout, ".venv-" in made.stdout) == (0, True, False)


@pytest.mark.parametrize(("target", "folder"), [("test", OWN), ("test-fast", OWN.replace("venv", "venv-fast"))])
def test_a_named_interpreter_has_a_folder_of_its_own(target: str, folder: str) -> None:
    made = dry(target, f"PYTHON={sys.executable}")
    assert made.returncode == 0, made.stderr
    assert f"{sys.executable} -m venv {folder}" in made.stdout
    assert f"{folder}/bin/python -m pytest" in made.stdout
    assert not any(line.startswith(".venv/") for line in made.stdout.splitlines())


def test_an_interpreter_that_is_not_there_is_said() -> None:
    made = dry("test", "PYTHON=./python9")
    assert made.returncode != 0
    assert "PYTHON=./python9 cannot be run; name a Python of 3.11 or newer" in made.stderr
