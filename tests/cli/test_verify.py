"""bench verify: a run against its own lines, its predictions and panopticapi; every planted fault is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from place import Call, Place

LINES, DONE = "images-0-of-1.jsonl", "done.json"


@pytest.fixture
def run(scored: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, with its predictions."""
    return Path(shutil.copytree(scored, tmp_path / "run"))


def result(call: Call, *arguments: object) -> tuple[int, dict[str, list[str]]]:
    """The exit code, and check → findings of those that failed."""
    answer = call("verify", *arguments, "--json")
    said = json.loads(answer.out)
    assert said["ok"] == (answer.code == 0)
    return answer.code, {c["check"]: c["findings"] for c in said["checks"] if c["result"] == "failed"}


def change_json(file: Path, change: Callable[[dict], None]) -> None:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def change_line(run: Path, number: int, change: Callable[[dict], None] | None) -> str:
    """Changes one image line, or takes it out; its image id."""
    lines = [json.loads(text) for text in (run / LINES).read_text().splitlines()]
    image_id = str(lines[number]["image_id"])
    if change is None:
        del lines[number]
    else:
        change(lines[number])
    (run / LINES).write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))
    return image_id


def test_a_run_as_it_was_written_passes(call: Call, run: Path, place: Place) -> None:
    assert result(call, run) == (0, {})
    answer = call("verify", run, "--reference", "--data-root", place.data, "--json")
    said = json.loads(answer.out)
    assert answer.code == 0, answer.out
    assert [c["result"] for c in said["checks"]] == ["ok"] * 8
    found = said["reference"]["differences"]
    assert {q: found[q]["largest"] for q in ("TP", "FP", "FN")} == {"TP": 0, "FP": 0, "FN": 0}
    assert all(found[q]["largest"] <= 1e-12 for q in ("PQ", "SQ", "RQ"))


def test_a_changed_total_is_named(call: Call, run: Path) -> None:
    def change(done: dict) -> None:
        done["score"]["PQ"]["all"]["PQ"] += 0.01
        done["score"]["per_class"][0]["TP"] += 1

    change_json(run / DONE, change)
    code, failed = result(call, run)
    assert (code, set(failed)) == (1, {"totals"})
    assert [text.partition(":")[0] for text in failed["totals"]] == ["PQ.all.PQ", "per_class[road].TP"]


def test_a_changed_line_is_named(call: Call, run: Path) -> None:
    def change(line: dict) -> None:
        line["overlap"]["pairs"][1][2] += 1

    image_id = change_line(run, 2, change)
    code, failed = result(call, run)
    assert code == 1
    assert set(failed) >= {"lines", "checksum"}
    assert all(image_id in text for text in failed["lines"])


def test_a_line_that_is_changed_consistently_is_found_by_its_prediction(call: Call, run: Path) -> None:
    """Another class for a predicted segment: every sum of the line still holds."""

    def change(line: dict) -> None:
        line["overlap"]["predicted"][0][1] = 33

    image_id = change_line(run, 1, change)
    code, failed = result(call, run)
    assert (code, set(failed)) == (1, {"checksum", "totals", "predictions"})
    assert image_id in failed["predictions"][0] and "bicycle" in failed["predictions"][0]


def test_a_missing_line_is_named(call: Call, run: Path) -> None:
    image_id = change_line(run, 3, None)
    code, failed = result(call, run)
    assert code == 1
    assert f"image '{image_id}' has a timing but no line" in failed["images"]
    assert "5 lines for 6 images" in failed["images"]
    assert {"checksum", "totals", "key"} <= set(failed)


def test_a_line_twice_is_named(call: Call, run: Path) -> None:
    lines = (run / LINES).read_text().splitlines(keepends=True)
    (run / LINES).write_text("".join([*lines, lines[0]]))
    _, failed = result(call, run)
    assert failed["images"][0].endswith("has 2 lines")


@pytest.mark.parametrize("garbage", ["not json", '{"image_id": "x"}', '{"image_id": "x", "overlap": {"truth": [[]]}}'])
def test_a_line_of_another_form_is_said(call: Call, run: Path, garbage: str) -> None:
    with (run / LINES).open("a") as stream:
        stream.write(garbage + "\n")
    code, failed = result(call, run)
    assert code == 1 and failed


def test_a_changed_png_is_named(call: Call, run: Path, place: Place) -> None:
    png = run / "predictions" / f"{place.images[4]}.png"
    pixels = np.array(Image.open(png))
    ids = np.unique(pixels.reshape(-1, 3), axis=0)
    pixels[0, :3] = ids[ids.any(axis=1)][-1]
    Image.fromarray(pixels).save(png)
    code, failed = result(call, run)
    assert (code, set(failed)) == (1, {"predictions"})
    assert place.images[4] in failed["predictions"][0] and "px" in failed["predictions"][0]
    code, failed = result(call, run, "--reference", "--data-root", place.data)
    assert code == 1
    assert place.images[4] in failed["rescored"][0] and "overlap" in failed["rescored"][0]


def test_moved_pixels_are_seen_with_the_truth_alone(call: Call, run: Path, place: Place) -> None:
    """Mirrored, a map keeps its areas; only what it shares with the truth is another."""
    png = run / "predictions" / f"{place.images[0]}.png"
    Image.fromarray(np.array(Image.open(png))[:, ::-1]).save(png)
    assert result(call, run) == (0, {})
    code, failed = result(call, run, "--reference", "--data-root", place.data)
    assert code == 1
    assert place.images[0] in failed["rescored"][0] and " px)" in failed["rescored"][0]
    assert "reference" in failed


def test_a_changed_semantic_map_is_named(call: Call, run: Path, place: Place) -> None:
    png = run / "predictions" / "semantic" / f"{place.images[5]}.png"
    pixels = np.array(Image.open(png))
    pixels[:2] = 33
    Image.fromarray(pixels).save(png)
    _, failed = result(call, run)
    assert any(place.images[5] in text and "px of bicycle" in text for text in failed["predictions"])
    png.unlink()
    assert "its semantic map is not saved" in result(call, run)[1]["predictions"][0]


@pytest.mark.parametrize(("change", "named"), [(0.1, True), (1e-6, False)])
def test_a_changed_score_is_named_and_rounding_is_not(
    call: Call, run: Path, place: Place, change: float, named: bool
) -> None:
    def shift(told: dict) -> None:
        told["annotations"][3]["segments_info"][0]["score"] += change

    change_json(run / "predictions" / "predictions.json", shift)
    code, failed = result(call, run, "--reference", "--data-root", place.data)
    assert (code, set(failed)) == ((1, {"predictions"}) if named else (0, set()))
    assert not named or (place.images[3] in failed["predictions"][0] and "score" in failed["predictions"][0])


def test_a_missing_png_is_named(call: Call, run: Path, place: Place) -> None:
    (run / "predictions" / f"{place.images[1]}.png").unlink()
    code, failed = result(call, run)
    assert code == 1 and "no such file" in failed["predictions"][0]


def test_rules_that_are_not_those_of_the_run_are_named(call: Call, run: Path) -> None:
    change_json(run / DONE, lambda done: done["key"].update(protocol="strict"))
    code, failed = result(call, run)
    assert (code, set(failed)) == (1, {"key"})
    assert "protocol" in failed["key"][0]


def test_another_version_of_a_metric_is_not_compared(call: Call, run: Path) -> None:
    change_json(run / "run.json", lambda meta: meta["rules"].update(pq_version=0))
    change_json(run / DONE, lambda done: done["key"].update(pq_version=0))
    code, failed = result(call, run)
    assert (code, set(failed)) == (1, {"totals"})
    assert "pq_version is 0" in failed["totals"][0]


def test_predictions_that_were_not_kept(call: Call, run: Path, place: Place) -> None:
    """They are not committed: made again elsewhere, they verify the run."""
    elsewhere = run.parent / "elsewhere"
    (run / "predictions").rename(elsewhere)
    assert result(call, run) == (0, {})
    table = call("verify", run)
    assert "no saved predictions" in table.out
    answer = call("verify", run, "--reference", "--data-root", place.data)
    assert (answer.code, answer.out) == (3, "")
    assert "has no saved predictions" in answer.err and "--predictions" in answer.err
    given = ["--predictions", elsewhere]
    assert result(call, run, "--reference", "--data-root", place.data, *given) == (0, {})


def test_the_remedy_is_the_command_of_the_run(call: Call, place: Place) -> None:
    assert call(*place.arguments("--no-save-predictions")).code == 0
    said = call("verify", place.run, "--reference", "--data-root", place.data).err
    assert f"bench run --model {place.model} --dataset cityscapes --data-root {place.data} --out DIR" in said


def test_the_data_of_a_run_may_be_named(call: Call, run: Path, place: Place) -> None:
    assert result(call, run, "--reference") == (0, {})  # the run remembers its root
    change_json(run / "run.json", lambda meta: meta.pop("origin"))
    assert call("verify", run, "--reference").code == 3  # no data root
    change_json(run / "run.json", lambda meta: meta["dataset"].update(name="mine"))
    assert "give --dataset or --gt" in call("verify", run, "--reference").err
    given = ["--dataset", "cityscapes", "--data-root", place.data]
    assert result(call, run, "--reference", *given) == (0, {})


def test_other_truth_is_named(call: Call, run: Path, place: Place) -> None:
    (label,) = place.data.glob(f"gtFine/val/*/{place.images[2]}_gtFine_instanceIds.png")
    ids = np.array(Image.open(label))
    ids[5:9, 5:9] = 17
    Image.fromarray(ids).save(label)
    code, failed = result(call, run, "--reference", "--data-root", place.data)
    assert code == 1
    assert place.images[2] in failed["rescored"][0] and "truth" in failed["rescored"][0]


def test_a_strict_run_shows_how_far_it_is_from_the_reference(call: Call, place: Place) -> None:
    """Its lines agree by protocol coco; what strict makes of them is told beside it."""
    assert call(*place.arguments("--protocol", "strict")).code == 0
    answer = call("verify", place.run, "--reference", "--data-root", place.data, "--json")
    said = json.loads(answer.out)
    assert answer.code == 0, answer.out
    assert set(said["reference"]["deviation"]) == {"PQ", "SQ", "RQ", "TP", "FP", "FN"}
    assert "Protocol strict" in call("verify", place.run, "--reference", "--data-root", place.data).out


def test_an_unfinished_run_is_not_verified(call: Call, run: Path) -> None:
    (run / DONE).unlink()
    assert call("verify", run).code == 5


def test_findings_are_listed_and_cut(call: Call, run: Path) -> None:
    def change(done: dict) -> None:
        for row in done["score"]["per_class"]:
            row["TP"] += 1
            row["FN"] += 1

    change_json(run / DONE, change)
    out = call("verify", run).out
    assert "failed" in out and "per_class[road].TP: done.json says" in out
    assert "totals: and 18 more" in out
