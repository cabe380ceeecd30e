"""The page of models is what the YAMLs say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.io.config import load_yaml, shipped_configs
from bench.models.catalog import COLUMNS, model_page
from bench.models.model_file import ModelFile


def files() -> dict[str, ModelFile]:
    return {name: load_yaml(path, ModelFile) for name, path in shipped_configs("models").items()}


def test_the_page_in_the_docs_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "models.md"
    assert page.read_text(encoding="utf-8") == model_page(files()), "bench models --format md > docs/models.md"


def test_every_checkpoint_has_a_row_and_every_cell_is_filled() -> None:
    page, known = model_page(files()), files()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(file.checkpoints) for file in known.values())
    assert all(line.count(" | ") == len(COLUMNS) - 1 and "|  |" not in line for line in rows)


def test_a_published_number_stands_beside_its_rule() -> None:
    lines = {
        line.split("`")[1]: line.split(" | ") for line in model_page(files()).splitlines() if line.startswith("| `")
    }
    at = COLUMNS.index("published PQ")
    assert lines["eomt/coco/large-640"][at : at + 2] == ["56.0 on coco", "eomt"]
    assert lines["mask2former/coco/swin-base"][at : at + 2] == ["55.1 on coco", "coco"]
    assert lines["mask2former/minicity/tiny"][at : at + 2] == ["–", "–"]


def test_a_way_that_no_model_takes_is_said() -> None:
    one = {"mask2former": files()["mask2former"]}
    assert "the way *shared-backbone*" in model_page(one)
    other = {**one, "other": replace(one["mask2former"], method="shared-backbone")}
    assert "the way *shared-backbone*" not in model_page(other)
