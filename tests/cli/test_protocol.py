"""--protocol strict: other counts where panopticapi's rules differ, a run of its own, never ranked with the others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from place import Call, Place

from bench.datasets.registry import load_coco_files
from bench.errors import UsageError
from bench.evaluation.score import score
from bench.results.prediction_writer import PredictionWriter
from bench.types import Categories, Category, Panoptic, Prediction, SegmentInfo

SPACE = Categories((Category(1, "person", True, (1, 1, 1)), Category(2, "car", True, (2, 2, 2))))
TRUTH = [1, 1, 1, 2, 2, 2, 3, 3, 0, 0]  # two crowds of people and a car, whose area is declared three times too large
FOUND = [1, 1, 1, 0, 0, 0, 3, 3, 0, 0]  # a person where the first crowd is, and the car


def write(folder: Path, ids: list[int], infos: dict[int, SegmentInfo]) -> Path:
    panoptic = Panoptic.from_ids(np.array([ids]), infos)
    with PredictionWriter(folder) as writer:
        writer.write("a", Prediction(panoptic))
        writer.finish(["a"], SPACE)
    return folder / "predictions.json"


@pytest.fixture
def pair(tmp_path: Path) -> list[object]:
    """--gt and --pred, as options."""
    crowd = SegmentInfo(1, iscrowd=True)
    gt = write(tmp_path / "truth", TRUTH, {1: crowd, 2: crowd, 3: SegmentInfo(2, declared_area=6)})
    pred = write(tmp_path / "found", FOUND, {1: SegmentInfo(1), 3: SegmentInfo(2)})
    return ["--gt", gt, "--gt-dir", gt.parent, "--pred", pred, "--pred-dir", pred.parent, "--name", "found"]


def counts(score: dict) -> dict[str, tuple[int, int, int]]:
    return {row["name"]: (row["TP"], row["FP"], row["FN"]) for row in score["per_class"]}


def test_the_two_protocols_count_differently(call: Call, pair: list[object], tmp_path: Path) -> None:
    coco, strict = (
        json.loads(call("score", *pair, "--out", tmp_path / "out", "--protocol", name, "--json").out)
        for name in ("coco", "strict")
    )
    assert counts(coco) == {"person": (0, 1, 0), "car": (0, 1, 1)}
    assert counts(strict) == {"person": (0, 0, 0), "car": (1, 0, 0)}
    assert (coco["protocol"], coco["reference_deviations"]) == ("coco", [])
    assert strict["protocol"] == "strict"
    assert any("recounted" in text for text in strict["reference_deviations"])
    assert any("crowd" in text for text in strict["reference_deviations"])
    boards = json.loads(call("leaderboard", "--results", tmp_path / "out", "--json").out)
    assert {board["protocol"] for board in boards} == {"coco", "strict"}
    assert [board["rank"] for board in boards] == [1, 1]
    assert len({board["key"] for board in boards}) == 2


def test_the_protocol_is_part_of_a_run(call: Call, place: Place) -> None:
    for more in ([], ["--protocol", "strict"]):
        assert call(*place.arguments(*more)).code == 0
    told = {}
    for file in place.out.glob("cityscapes-val/mine/*/run.json"):
        done = json.loads((file.parent / "done.json").read_text())
        told[json.loads(file.read_text())["rules"]["protocol"]] = done["key"]["protocol"], done["score"]["protocol"]
    assert told == {"coco": ("coco", "coco"), "strict": ("strict", "strict")}


@pytest.mark.parametrize("protocol", ["coco", "strict"])
def test_repeated_ids_are_refused(call: Call, pair: list[object], protocol: str) -> None:
    file = Path(str(pair[1]))
    data = json.loads(file.read_text())
    data["annotations"][0]["segments_info"].append(data["annotations"][0]["segments_info"][0])
    file.write_text(json.dumps(data))
    answer = call("score", *pair, "--protocol", protocol)
    assert answer.code == 3
    assert "id 1 is listed twice" in answer.err


def test_an_unknown_protocol_is_refused_before_anything_is_scored(
    call: Call, pair: list[object], tmp_path: Path
) -> None:
    assert call("score", *pair, "--protocol", "loose").code == 2
    truth = load_coco_files(Path(str(pair[1])), Path(str(pair[3])))
    with pytest.raises(UsageError, match="unknown protocol 'loose'"):
        score(Path(str(pair[5])), truth, tmp_path / "out", protocol="loose")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
