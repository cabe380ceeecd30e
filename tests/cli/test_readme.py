"""The commands and the Python lines of the README run as they stand, in order."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from place import Call

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORDS = 900
FILES: dict[str, str] = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", README, re.DOTALL))
GATE = "title: mine\nruns:\n  - {name: recorded, predictions: mine, dataset: 'minicity:demo', limit: 4}\n"


def blocks(text: str) -> Iterator[str]:
    """The indented blocks."""
    lines = [line if line.startswith("    ") else "" for line in text.splitlines()]
    yield from (block for block in "\n".join(line[4:] for line in lines).split("\n\n") if block.strip())


def commands(text: str) -> list[list[str]]:
    lines = (line for block in blocks(text) for line in block.splitlines())
    return [shlex.split(line, comments=True)[1:] for line in lines if line.strip().startswith("bench ")]


def prepare(folder: Path) -> None:
    """Write what the README takes as given: a truth and predictions in COCO panoptic format, and a suite."""
    from bench.datasets.example import write_example
    from bench.datasets.registry import load_dataset
    from bench.evaluation.damage import Damage, damage_dataset

    data = load_dataset("minicity:demo").limited(4)
    images = [{"id": s.image_id, "width": 512, "height": 256, "file_name": f"{s.image_id}.png"} for s in data.samples]
    for name, faults in (("truth", Damage(0, 0, 0, 0, 0, 0)), ("mine", None)):
        damage_dataset(data, folder / name, faults=faults)
        found = json.loads((folder / name / "predictions.json").read_text())
        (folder / f"{name}.json").write_text(json.dumps({**found, "images": images}))
    (folder / "gate.yaml").write_text(GATE)
    write_example(folder / "example")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")


def test_it_is_one_screen() -> None:
    assert len(README.split()) <= WORDS


def test_every_link_leads_to_a_file() -> None:
    targets = [part.partition(")")[0] for part in README.split("](")[1:]]
    assert len(targets) > 12
    missing = [target for target in targets if "://" not in target and not (ROOT / target.partition("#")[0]).exists()]
    assert missing == []


def test_own_model_and_data_take_few_lines() -> None:
    assert set(FILES) == {"data.yaml", "model.yaml", "model.py"}
    assert sum(1 for text in FILES.values() for line in text.splitlines() if line) <= 25


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    for variable in ("BENCH_DATA", "CITYSCAPES_DATASET", "DETECTRON2_DATASETS", "BENCH_DATA_ROOT", "BENCH_OUT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    # Names of runs are to be unique beside the runs that a checkout has.
    for path in (ROOT / "results").glob("*/*/*/run.json"):
        shutil.copytree(path.parent, tmp_path / "results" / path.parent.relative_to(ROOT / "results"))
    ran = set()
    for arguments in commands(README):
        answer = call(*arguments)
        assert answer.code == 0, (arguments, answer.err)
        ran.add(arguments[0])
    assert {"score", "run", "compare", "show", "leaderboard", "report", "check"} <= ran
    python = next(block for block in blocks(README) if block.startswith("import bench"))
    shutil.rmtree(tmp_path / "results")
    exec(compile(python, "README.md", "exec"), {})
    assert list((tmp_path / "results").glob("minicity-demo/mask2former/*/done.json"))
