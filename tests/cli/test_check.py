"""bench data check and bench data stats, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

from place import Call, Place


def test_clean_data_leave_with_0(call: Call, place: Place) -> None:
    answer = call("data", "check", "cityscapes", "--data-root", place.data)
    assert answer.code == 0
    assert "0 errors" in answer.out


def test_a_fault_leaves_with_3_and_names_the_image(call: Call, place: Place) -> None:
    (label,) = place.data.glob(f"gtFine/val/*/{place.images[0]}_gtFine_instanceIds.png")
    label.write_bytes(b"")
    answer = call("data", "check", "cityscapes", "--data-root", place.data, "--json")
    assert answer.code == 3
    found = [row for row in json.loads(answer.out)["findings"] if row["severity"] == "error"]
    assert [(row["fault"], row["image_id"]) for row in found] == [("label-unreadable", place.images[0])]
    assert found[0]["remedy"] and found[0]["file"] == str(label)


def test_check_wants_one_thing_to_check(call: Call) -> None:
    assert call("data", "check").code == 2


def test_a_missing_root_leaves_with_3_and_help(call: Call, place: Place) -> None:
    answer = call("data", "check", "coco")
    assert answer.code == 3
    assert "val2017.zip" in answer.err


def test_stats_count_and_draw(call: Call, place: Place, tmp_path: Path) -> None:
    out = tmp_path / "classes.png"
    answer = call("data", "stats", "cityscapes", "--data-root", place.data, "--json", "--out", out)
    assert answer.code == 0
    assert json.loads(answer.out)["images"] == len(place.images)
    assert out.read_bytes().startswith(b"\x89PNG")
    table = call("data", "stats", "cityscapes", "--data-root", place.data).out
    assert "road" in table and "segments an image: min" in table
