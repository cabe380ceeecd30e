"""bench ledger and bench reproduce: published results are compared under their own rule alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from place import Call, Place

from bench.models.ledger import read_published

ROW = '{{model: Mine, name: mine/plain, dataset: cityscapes, split: val, PQ: {pq}, rule: {rule}, source: "a table"}}'


def published(folder: Path, pq: float, *rules: str, images: int = 6) -> Path:
    path = folder / "published.yaml"
    rows = "".join(f"  - {ROW.format(pq=pq, rule=rule)}\n" for rule in rules)
    path.write_text(f'splits: {{"cityscapes:val": {images}}}\nrows:\n{rows}', encoding="utf-8")
    return path


def test_the_shipped_rows() -> None:
    rows = read_published().rows
    own = [row for row in rows if row.source.startswith(("facebookresearch", "tue-mps")) and row.name]
    assert {row.rule for row in own if row.name.startswith("eomt/") and row.PQ} == {"eomt"}
    assert {row.rule for row in own if row.name.startswith("mask2former/")} == {"coco"}
    assert all(row.rule == "unknown" for row in rows if row.PQ is None or "paperswithcode" in row.source)


def test_a_linked_row_has_the_number_of_its_checkpoint() -> None:
    """The checkpoints' own rows and the table's, written from the same sources, agree."""
    rows = read_published().rows
    told = {(row.name, row.dataset): row.PQ for row in rows if row.name and not (row.repo or row.url)}
    linked = [row for row in rows if (row.name, row.dataset) in told and (row.repo or row.url)]
    assert len(linked) > 20
    for row in linked:
        assert pytest.approx(told[row.name, row.dataset], abs=6e-4) == row.PQ, row


@pytest.fixture
def measured(call: Call, place: Place) -> float:
    answer = call(*place.arguments("--device", "cpu", "--json"))
    assert answer.code == 0, answer.err
    return float(json.loads(answer.out)["PQ"]["all"]["PQ"])


def verdicts(call: Call, place: Place, path: Path) -> list[dict[str, object]]:
    answer = call("ledger", "--results", place.out, "--published", path, "--json")
    assert answer.code == 0, answer.err
    found: list[dict[str, object]] = json.loads(answer.out)
    return found


def test_verdicts(call: Call, place: Place, measured: float) -> None:
    (near,) = verdicts(call, place, published(place.folder, round(measured, 3), "coco"))
    assert (near["verdict"], near["measured"]) == ("within 0.1", measured)
    (far,) = verdicts(call, place, published(place.folder, round(measured - 0.05, 3), "coco"))
    assert far["verdict"] == "unexplained"
    assert far["difference"] == pytest.approx(0.05, abs=6e-4)
    low, high = far["interval"]  # type: ignore[misc]
    assert low < far["difference"] < high


def test_a_number_of_another_rule_is_compared_under_that_rule_alone(call: Call, place: Place, measured: float) -> None:
    rows = verdicts(call, place, published(place.folder, round(measured, 3), "unknown", "eomt", "torchmetrics"))
    assert (rows[0]["verdict"], rows[0]["difference"]) == ("not measured", None)
    assert "names no evaluator" in str(rows[0]["why"])
    rules = json.loads(call("show", place.run, "--rules", "--json").out)["rules"]
    assert [row["measured"] for row in rows[1:]] == [
        rules[rule]["PQ"]["all"]["PQ"] for rule in ("eomt", "torchmetrics")
    ]


def test_a_run_of_some_images_does_not_measure(call: Call, place: Place, measured: float) -> None:
    (row,) = verdicts(call, place, published(place.folder, round(measured, 3), "coco", images=500))
    assert (row["verdict"], row["why"]) == ("not measured", "runs of 6 of 500 images")


def test_reproduce_runs_compares_and_notes(call: Call, place: Place) -> None:
    text = place.model.read_text(encoding="utf-8")
    inside = text.replace("}}\n", "}, published: {dataset: cityscapes, PQ: 0.1, rule: coco, source: a table}}\n")
    assert inside != text
    place.model.write_text(inside, encoding="utf-8")
    path = published(place.folder, 0.1, "coco")
    asked = ("reproduce", place.model, "--data-root", place.data, "--out", place.out, "--device", "cpu", "--json")
    answer = call(*asked, "--published", path)
    assert answer.code == 0, answer.err
    (row,) = json.loads(answer.out)
    assert (row["verdict"], row["why"]) == ("unexplained", "")
    assert Path(row["run"]) == place.run
    (row,) = json.loads(call(*asked, "--published", path, "--note", "another resize").out)
    assert (row["verdict"], row["why"]) == ("explained", "another resize")
    # `bench ledger` has the note from then on.
    assert [row["why"] for row in verdicts(call, place, path)] == ["another resize"]
    table = call("ledger", "--results", place.out, "--published", path, "--format", "md").out
    assert "| explained | another resize |" in table


def test_a_model_without_a_published_result_leaves_with_2(call: Call, place: Place) -> None:
    answer = call("reproduce", place.model, "--data-root", place.data, "--out", place.out)
    assert answer.code == 2
    assert "has no `published` result" in answer.err


def test_an_unknown_data_set_leaves_with_2(call: Call, place: Place) -> None:
    answer = call("ledger", "--results", place.out, "--dataset", "coca")
    assert answer.code == 2
    assert "did you mean 'coco'?" in answer.err
