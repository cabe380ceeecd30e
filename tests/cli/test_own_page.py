"""docs/own.md: what stands there runs, and model and data are short. What `bench init` writes runs, too."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from place import Call

from bench.cli.keys import key_page
from bench.datasets.example import write_example

PAGE = (Path(__file__).parents[2] / "docs" / "own.md").read_text(encoding="utf-8")
FILES = {name: text for name, text in re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)}
COMMANDS = [block.strip().splitlines() for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("BENCH_DATA_ROOT", "BENCH_OUT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_all(lines: list[str], call: Call) -> None:
    for line in lines:
        answer = call(*shlex.split(line)[1:])
        assert answer.code == 0, f"{line}: {answer.err or answer.out}"


def test_model_and_data_take_few_lines() -> None:
    lines = [line for name in ("data.yaml", "model.yaml", "model.py") for line in FILES[name].splitlines() if line]
    assert len(lines) <= 25


def test_the_page_runs(here: Path, call: Call) -> None:
    write_example(here / "example")
    for name, text in FILES.items():
        (here / name).write_text(text, encoding="utf-8")
    run_all(COMMANDS[0], call)
    assert list(here.glob("results/data-val/first/*/report/overlays/*.png"))
    pytest.importorskip("accelerate", reason="training needs accelerate, which is not installed here")
    run_all(COMMANDS[1], call)


def test_what_init_writes_runs_and_is_not_written_over(here: Path, call: Call) -> None:
    run_all(["bench init dataset", "bench init model nets/ours.yaml"], call)
    run_all([line.replace("./model.yaml", "nets/ours.yaml") for line in COMMANDS[0][:3]], call)
    refused = call("init", "model", "nets/ours.yaml")
    assert refused.code == 2 and "nets/ours.yaml: exists and is not overwritten" in refused.err
    assert call("init", "dataset", "other.yaml").code == 2 and not (here / "other.yaml").exists()


def test_the_page_of_keys_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "keys.md"
    assert page.read_text(encoding="utf-8") == key_page(), "bench keys > docs/keys.md"
