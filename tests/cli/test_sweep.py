"""bench suite with a sweep, as it is typed, and settings of a checkpoint by --set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from place import Call, Place

from bench.analysis.ranking import leaderboard
from bench.analysis.sweep import is_in_first_half
from bench.models.resolve import resolve_model
from bench.results.run import read_runs

SUITE = """\
title: a sweep
sweep: {input.longer: [32, 64], fusion.score_threshold: [0.0, 0.4]}
runs:
  - {name: bands, model: ./mine.yaml, dataset: cityscapes, timing: true}
"""


@pytest.fixture
def suite(place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let a threshold move where the model cuts things in two: away from the middle costs PQ."""
    monkeypatch.setenv("CITYSCAPES_DATASET", str(place.data))
    code = place.folder / "mine.py"
    text = code.read_text().replace("// 12, shift)", "// 12, shift + self.moved)")
    keep = "        self.categories = spec.space\n"
    code.write_text(text.replace(keep, f"{keep}        self.moved = int(20 * spec.fusion.score_threshold)\n", 1))
    (place.folder / "suite.yaml").write_text(SUITE)
    return place.folder / "suite.yaml"


def test_a_sweep_names_its_rows_and_scores_its_choice_on_the_other_half(suite: Path, place: Place, call: Call) -> None:
    said = call("suite", suite, "--out", place.out, "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert [row["name"] for row in found["rows"]] == [
        "as it is",
        *(f"input.longer={px} fusion.score_threshold={cut}" for px in (32, 64) for cut in (0.0, 0.4)),
    ]
    runs = {run.name: run for run in read_runs(place.out)}
    assert "bands input.longer=32 fusion.score_threshold=0.4" in runs and len(runs) == 5
    assert runs["bands input.longer=32 fusion.score_threshold=0.4"].meta.model.input.shorter == 16
    for row in found["rows"][1:]:
        assert row["PQ"]["value"] == pytest.approx(runs[f"bands {row['name']}"].score.PQ.all.PQ)
        assert row["latency"]["low"] <= row["latency"]["value"] <= row["latency"]["high"]
    (chosen,) = found["selections"]
    assert chosen["chosen"] == "input.longer=32 fusion.score_threshold=0.0"
    half = [image for image in place.images if is_in_first_half(image)]
    assert (chosen["images_chosen_on"], chosen["images_scored"]) == (len(half), len(place.images) - len(half))
    assert chosen["gain"]["value"] > 0 and "the other" in found["sentences"][0]
    assert sorted(path.name for path in (place.out / "suite" / "figures").iterdir()) == [
        "PQ-fusion-score_threshold.svg", "PQ-input-longer.svg", "latency-fusion-score_threshold.svg",
        "latency-input-longer.svg", "memory-fusion-score_threshold.svg", "memory-input-longer.svg",
    ]  # fmt: skip


def test_swept_rows_never_stand_in_a_clean_ranking(suite: Path, place: Place, call: Call) -> None:
    assert call("suite", suite, "--out", place.out).code == 0
    boards = leaderboard(read_runs(place.out), ranges=False)
    assert {board.dataset: len(board.rows) for board in boards} == {
        "cityscapes:val": 1, "cityscapes:val, settings changed": 4
    }  # fmt: skip
    pair = [next(place.out.glob(f"cityscapes-val/bands input.longer={px} *0.4/*")) for px in (32, 64)]
    assert call("compare", *pair).code == 0


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("{input.longer: []}", "input.longer: has no value"),
        ("{input.longer: [32, 32]}", "input.longer: 32 occurs twice"),
        ("{input.longr: [32]}", "did you mean 'longer'"),
        ("{fusion.score_treshold: [0.5]}", "did you mean 'score_threshold'"),
        ("{input.longer: [0.5]}", "expected int, found 0.5"),
    ],
)
def test_a_wrong_sweep_is_refused(suite: Path, call: Call, place: Place, sweep: str, message: str) -> None:
    suite.write_text("\n".join([SUITE.splitlines()[0], f"sweep: {sweep}", *SUITE.splitlines()[2:]]))
    said = call("suite", suite, "--out", place.out)
    assert said.code == 2 and message in said.err, said.err


def test_one_side_of_the_input_takes_the_other_along(place: Place) -> None:
    def sides(**changed: int) -> tuple[int, int]:
        overrides = {f"input.{name}": value for name, value in changed.items()}
        size = resolve_model(str(place.model), "cityscapes", overrides=overrides).input
        return size.shorter, size.longer

    assert sides() == (32, 64)
    assert sides(longer=128) == (64, 128) and sides(shorter=16) == (16, 32)
    assert sides(shorter=10, longer=128) == (10, 128)
