"""Explanations, comparisons, shards and boundaries, as a user asks for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from place import Call, Place

from bench.metrics.bootstrap import MEANS
from bench.metrics.errors import ERROR_TYPES

VIEWS = ("--errors", "--by-size", "--thresholds", "--confusion", "--intervals")


def test_the_views_of_a_run_agree_with_its_score(scored: Path, call: Call) -> None:
    score = json.loads(call("show", scored, "--json").out)
    answer = call("show", scored, *VIEWS, "--json")
    assert (answer.code, answer.err) == (0, "")
    views = json.loads(answer.out)
    assert list(views) == ["errors", "by_size", "thresholds", "confusion", "intervals"]
    pq = score["PQ"]["all"]["PQ"]
    assert views["errors"]["all"]["PQ"] == pq
    assert pq + sum(views["errors"]["all"]["loss"].values()) == pytest.approx(1, abs=1e-12)
    assert views["thresholds"]["thresholds"]["0.5"]["PQ"] == score["PQ"]
    for bins in views["by_size"].values():
        for count in ("TP", "FP", "FN"):
            assert sum(one[count] for one in bins) == sum(row[count] for row in score["per_class"])
    assert set(views["confusion"]) == {"semantic", "panoptic"}
    means = {row["name"]: row for row in views["intervals"]["means"]}
    assert means["PQ"]["low"] <= means["PQ"]["value"] <= means["PQ"]["high"]
    assert means["PQ"]["value"] == pytest.approx(pq, abs=1e-12)
    assert means["mIoU semantic"]["value"] == pytest.approx(score["mIoU"]["semantic"], abs=1e-12)


def test_the_views_as_tables(scored: Path, call: Call) -> None:
    answer = call("show", scored, *VIEWS)
    assert answer.code == 0
    assert all(kind in answer.out for kind in ("wrong class", *ERROR_TYPES[2:]))
    for text in ("medium", "10 % and more", "0.95", "PQ†", "taken for", "road", " to "):
        assert text in answer.out


def score_damaged(place: Place, call: Call) -> None:
    given = ["--dataset", "cityscapes", "--data-root", place.data, "--predictions", place.folder / "worse"]
    assert call("data", "damage", "cityscapes:val", "--out", given[-1], "--data-root", place.data).code == 0
    assert call("score", *given, "--out", place.out).code == 0


def test_compare_with_itself_and_with_another(place: Place, scored: Path, call: Call) -> None:
    score_damaged(place, call)
    same = json.loads(call("compare", scored, scored, "--json").out)
    assert {same[name]["difference"] for name in MEANS} == {0}
    assert {same[name]["p_better"] for name in MEANS} == {0.5}
    answer = call("compare", scored, place.out, "--json", "--seed", 1, "--replicates", 500)
    other = json.loads(answer.out)
    assert (answer.code, answer.err) == (0, "")
    assert (other["replicates"], other["seed"], other["images"], other["groups"]) == (500, 1, 6, 2)
    pq = other["PQ"]
    assert pq["difference"] == pytest.approx(pq["b"] - pq["a"], abs=1e-12)
    assert pq["interval"][0] < pq["difference"] < pq["interval"][1]
    assert other["mIoU semantic"]["interval"] == [None, None]  # predictions alone have no semantic output
    effects = [abs(row["PQ"]["difference"]) for row in other["per_class"] if row["PQ"]["difference"] is not None]
    assert len(other["per_class"]) == 19 and effects == sorted(effects, reverse=True)
    assert all(row["PQ"]["p_holm"] is not None for row in other["per_class"][: len(effects)])
    better, less = ("worse", "mine") if pq["difference"] > 0 else ("mine", "worse")
    assert other["verdict"].startswith(f"{better} is better than {less} by ")
    assert "classes differ after Holm's correction" in other["class_verdict"]
    assert answer.out == call("compare", scored, place.out, "--json", "--seed", 1, "--replicates", 500).out
    text = call("compare", scored, place.out).out
    assert text.startswith(f"{better} is better than {less} by ") and "another training seed" in text
    assert "A = mine, B = worse on cityscapes:val" in text and "95 % of B − A" in text
    refused = call("compare", scored, place.out, "--by-group")
    assert (refused.code, refused.out) == (2, "") and "needs at least 6" in refused.err
    for style, mark in (("md", "| PQ |"), ("csv", "mean,PQ,"), ("latex", r"\begin{tabular}")):
        assert mark in call("compare", scored, place.out, "--format", style).out
    assert call("compare", scored).code == 2


def test_compare_by_errors_and_size_has_the_values_of_show(place: Place, scored: Path, call: Call) -> None:
    score_damaged(place, call)
    plain = json.loads(call("compare", scored, place.out, "--json").out)
    answer = call("compare", scored, place.out, "--errors", "--by-size", "--json")
    assert (answer.code, answer.err) == (0, "")
    found = json.loads(answer.out)
    assert {name: value for name, value in found.items() if name not in ("errors", "by_size")} == plain
    for key, run in (("a", scored), ("b", place.out)):
        shown = json.loads(call("show", run, "--errors", "--by-size", "--json").out)
        bins = [row for rows in shown["by_size"].values() for row in rows]
        for group in ("all", "things", "stuff"):
            assert {row["name"]: row[key] for row in found["errors"][group]} == shown["errors"][group]["loss"]
            sizes = {row["bin"]: row["PQ"][group]["PQ"] for row in bins}
            assert {row["name"]: row[key] for row in found["by_size"][group]} == sizes
    for row in (row for view in ("errors", "by_size") for row in found[view]["all"] if row["difference"] is not None):
        assert row["difference"] == pytest.approx(row["b"] - row["a"], abs=1e-12)
        assert row["interval"][0] - 1e-6 <= row["difference"] <= row["interval"][1] + 1e-6
    lost = {row["name"]: row for row in found["errors"]["all"]}
    assert lost["spurious"]["p_holm"] < 0.05 and "p_better" not in lost["spurious"]
    assert "worse loses " in found["errors"]["verdict"] and " less to spurious segments (" in found["errors"]["verdict"]
    itself = json.loads(call("compare", scored, scored, "--errors", "--json").out)["errors"]
    assert itself["verdict"] == "0 of 8 types of error differ after Holm's correction for 8 comparisons"
    assert {row["difference"] for row in itself["all"]} == {0}


def test_the_tables_of_a_comparison(place: Place, scored: Path, call: Call) -> None:
    score_damaged(place, call)
    plain, whole = (call("compare", scored, place.out, *option).out for option in ((), ("--per-class",)))
    assert "10 of 19 classes (--per-class: all)" in plain and "PQ of each class" in whole
    assert len(whole.splitlines()) == len(plain.splitlines()) + 9
    errors = call("compare", scored, place.out, "--errors").out
    assert "types of error differ" in errors and "lost to each type of error, thing classes" in errors
    assert "largest difference first" not in errors and "by size" not in errors
    rows = call("compare", scored, place.out, "--by-size", "--format", "csv").out.splitlines()
    assert len(rows) == 1 + len(MEANS) + 19 + 3 * 7 and sum(row.startswith("by_size stuff,") for row in rows) == 7
    few = call("compare", scored, place.out, "--errors", "--replicates", 100).out
    assert "100 replicates are too few to show one: give 320 or more by --replicates" in few
    refused = call("compare", scored, place.out, scored, "--errors", "--per-class")
    assert (refused.code, refused.out) == (2, "") and "3 runs: --per-class, --errors" in refused.err


def test_three_runs_are_a_matrix_of_wins(place: Place, scored: Path, call: Call) -> None:
    score_damaged(place, call)
    pair = json.loads(call("compare", place.out, scored, "--json").out)
    found = json.loads(call("compare", scored, place.out, scored, "--json").out)
    values = [run["value"] for run in found["runs"]]
    assert values == sorted(values, reverse=True) and values.count(pair["PQ"]["b"]) == 2
    assert len(found["pairs"]) == 3 and sum("no difference" in one["verdict"] for one in found["pairs"]) == 1
    for one in found["pairs"]:
        if "no difference" not in one["verdict"]:
            assert one["difference"] == pytest.approx(abs(pair["PQ"]["difference"]), abs=1e-12)
            ends = sorted(abs(end) for end in pair["PQ"]["interval"])
            assert (one["low"], one["high"]) == pytest.approx(ends, abs=1e-6)
    assert "better than" in call("compare", scored, place.out, scored).out


def test_what_may_not_be_compared_is_exit_6(place: Place, scored: Path, call: Call) -> None:
    assert call(*place.arguments("--limit", 2)).code == 0
    answer = call("compare", scored, place.run)
    assert (answer.code, answer.out) == (6, "")
    assert "differ in the images or their ground truth" in answer.err


def test_boundaries_only_where_asked_for(place: Place, scored: Path, call: Call) -> None:
    refused = call("show", scored, "--boundary")
    assert (refused.code, refused.out) == (3, "")
    assert "--metrics boundary" in refused.err
    plain = json.loads(call("show", scored, "--json").out)
    answer = call(*place.arguments("--metrics", "boundary", "--json"))
    score = json.loads(answer.out)
    assert {key: value for key, value in score.items() if key != "boundary"} == plain
    assert 0 < score["boundary"]["PQ"]["all"]["PQ"] <= score["PQ"]["all"]["PQ"]
    assert json.loads(call("show", place.run, "--boundary", "--json").out) == {"boundary": score["boundary"]}
    assert "Boundary PQ (d = 2 % of the diagonal)" in call("show", place.run).out
    assert place.run.name != scored.name
    assert call("verify", place.run).code == 0
    assert call("compare", scored, place.run).code == 0  # the same truth by the same rules


def test_shards_are_merged(place: Place, scored: Path, call: Call) -> None:
    first = call(*place.arguments("--shard", "1/2"))
    assert (first.code, first.out) == (
        0,
        f"shard 1-of-2 is done; 3 of 6 images are scored; join them by: bench merge {place.run}\n",
    )
    early = call("merge", place.run)
    assert early.code == 5 and place.images[0] in early.err
    second = json.loads(call(*place.arguments("--shard", "0/2", "--json")).out)
    assert second == {"run": str(place.run), "shard": "0-of-2", "images": 6, "of": 6}
    assert call("merge", place.run, "--json").out == call("show", scored, "--json").out
    assert place.run.name == scored.name
    assert call(*place.arguments("--shard", "2/2")).code == 2


def test_shards_of_a_score_are_merged(place: Place, scored: Path, call: Call) -> None:
    score = ["score", "--dataset", "cityscapes", "--data-root", place.data, "--predictions", scored / "predictions"]
    whole = json.loads(call(*score, "--json").out)
    for part in ("1/2", "0/2"):
        answer = json.loads(call(*score, "--shard", part, "--out", place.folder / "kept", "--json").out)
    assert answer["images"] == 6 and call("merge", answer["run"]).code == 0
    assert json.loads(call(*score, "--out", place.folder / "kept", "--json").out) == {**whole, "reused": True}
    assert call(*score, "--shard", "1/2").code == 2


def test_a_run_under_the_rules_of_other_evaluators(scored: Path, call: Call) -> None:
    results = scored.parents[2]
    score = json.loads(call("show", scored, "--json").out)
    rules = json.loads(call("show", scored, "--rules", "--json").out)["rules"]
    assert list(rules) == ["coco", "strict", "eomt", "torchmetrics", "torchmetrics-crowd"]
    assert rules["coco"]["PQ"] == score["PQ"] and all(one["source"] for one in rules.values())
    assert "PQ − coco" in call("show", scored, "--rules").out
    (row,) = json.loads(call("leaderboard", "--results", results, "--rule", "torchmetrics", "--json").out)
    assert row["PQ"] == row["PQ torchmetrics"] == rules["torchmetrics"]["PQ"]["all"]["PQ"]
    assert row["rank"] == row["rank coco"] == 1
    for style in ("table", "md", "csv"):
        assert "mine" in call("leaderboard", "--results", results, "--rule", "eomt", "--format", style).out
    refused = call("leaderboard", "--results", results, "--rule", "eomt", "--columns", "PQ")
    assert refused.code == 2 and "leave out" in refused.err


def test_the_choice_of_a_run(scored: Path, call: Call) -> None:
    given = ["choose", "--dataset", "cityscapes:val", "--results", scored.parents[2]]
    found = json.loads(call(*given, "--json").out)
    assert found["choice"] == "mine" and [one["name"] for one in found["candidates"]] == ["mine"]
    assert call(*given).out.startswith("Take mine: the highest PQ (")
    assert "| mine |" in call(*given, "--format", "md").out
    none = json.loads(call(*given, "--licence", "commercial", "--json").out)
    assert none["choice"] is None and "its licence is not known" in none["candidates"][0]["excluded"]
    assert call("choose", "--dataset", "coco", "--results", scored.parents[2]).code == 2
