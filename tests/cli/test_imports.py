"""Commands that run no model never import a framework; the help imports nothing heavy at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fakes import bench
from place import Place

from bench.io.png_runs import available

FRAMEWORKS = {"torch", "transformers"}
HEAVY = FRAMEWORKS | {"pandas", "matplotlib"}


def imported(*arguments: object, python: tuple[str, ...] = ("-m", "bench")) -> tuple[set[str], str]:
    """The top-level packages that a command imports, and its stdout."""
    with bench(*arguments, python=("-X", "importtime", *python)) as process:
        out, err = process.communicate(timeout=120)
    rows = [line.rpartition("|")[2].strip() for line in err.splitlines() if line.startswith("import time:")]
    assert process.returncode == 0, "\n".join(x for x in err.splitlines() if not x.startswith("import time:"))
    return {row.partition(".")[0] for row in rows}, out


def test_help_imports_nothing_heavy() -> None:
    packages, out = imported("--help")
    assert "Usage" in out
    assert "bench" in packages
    assert not packages & HEAVY


@pytest.mark.parametrize("command", ["run", "score", "leaderboard", "report", "train", "demo", "data damage", "verify"])
def test_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    packages, out = imported(*command.split(), "--help")
    assert "Usage" in out
    assert not packages & HEAVY


def test_the_check_sees_what_is_imported() -> None:
    packages, _ = imported(python=("-c", "import pandas, matplotlib"))
    assert {"pandas", "matplotlib"} <= packages
    lazily, _ = imported("--help", python=("-c", "import sys; from bench.cli import main; import pandas; main()"))
    assert lazily & HEAVY == {"pandas"}


@pytest.mark.parametrize("command", ["models", "datasets", "doctor"])
def test_lists_import_no_framework(command: str) -> None:
    packages, out = imported(command)
    assert "mask2former" in out or "cityscapes" in out
    assert not packages & FRAMEWORKS


def test_reading_runs_imports_no_framework(scored: Path) -> None:
    for command in (
        ["show", scored, "--errors"],
        ["compare", scored, scored, "--replicates", 100],
        ["verify", scored],
        ["leaderboard", "--results", scored.parents[2]],
    ):
        packages, out = imported(*command)
        assert "mine" in out
        assert not packages & FRAMEWORKS


def test_scoring_files_imports_no_framework(place: Place, scored: Path) -> None:
    given = ["--dataset", "cityscapes", "--data-root", place.data, "--predictions", scored / "predictions"]
    packages, out = imported("score", *given)
    assert "PQ" in out
    assert not packages & HEAVY


def test_scoring_two_files_waits_for_nothing_that_it_does_without(scored: Path, tmp_path: Path) -> None:
    """Panoptic PNGs of which the kernel makes no pixels."""
    if not available():
        pytest.skip("the kernel was not compiled")
    folder = tmp_path / "made"
    shutil.copytree(scored / "predictions", folder, ignore=shutil.ignore_patterns("semantic"))
    made = folder / "predictions.json"
    packages, out = imported("score", "--gt", made, "--gt-dir", folder, "--pred", made, "--pred-dir", folder, "--json")
    assert '"PQ"' in out
    assert not packages & (HEAVY | {"yaml", "PIL", "rich"})


def test_a_missing_data_root_is_told_before_any_framework_is_imported() -> None:
    with bench(
        "run", "--model", "mask2former", "--dataset", "cityscapes", python=("-X", "importtime", "-m", "bench")
    ) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "bench: cityscapes: no data root" in err
    assert not any(row.rpartition("|")[2].strip() in FRAMEWORKS for row in err.splitlines())
    assert out == ""
