import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_runs import GIT, MODEL, finished, line, meta, total, values

from bench.analysis.breakdown import intervals
from bench.analysis.ranking import leaderboard, to_frame
from bench.errors import DataError
from bench.overlap import Overlap
from bench.reports.leaderboard import is_current, to_csv, to_json, to_markdown, to_tables, write_between_markers
from bench.results.run import Run, read_run
from bench.results.timing import Throughput, Timing, write_timing
from bench.types import Panoptic, SegmentInfo

PREDICTIONS = {"model": {"predictions": "0f"}, "device": None, "parameters": None, "multiply_adds": None}


def a_run(root: Path, name: str, pq: float | None, key: str = "a", **changes: Any) -> Run:
    return finished(root / name, meta(name, **changes), values(pq), key)


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    dirty = {"provenance": {"git": {**GIT, "dirty": True}}}
    return [
        a_run(tmp_path, "nothing", None),
        a_run(tmp_path, "second", 0.5, **dirty),
        a_run(tmp_path, "best", 0.6234, **PREDICTIONS),
        a_run(tmp_path, "other-truth", 0.9, key="b"),
        a_run(tmp_path, "also second", 0.5),
        a_run(tmp_path, "fourth", 0.1, provenance={"git": None}),
    ]


def row(run: Run) -> dict[str, Any]:
    (board,) = leaderboard([run])
    return asdict(board.rows[0])


def test_runs_of_other_keys_never_share_a_ranking(runs: list[Run]) -> None:
    boards = leaderboard(runs)
    assert sorted([row.name for row in board.rows] for board in boards) == [
        ["best", "also second", "second", "fourth", "nothing"],
        ["other-truth"],
    ]
    assert len({board.key for board in boards}) == 2


def test_ties_share_a_rank_and_undefined_has_none(runs: list[Run]) -> None:
    board = max(leaderboard(runs), key=lambda board: len(board.rows))
    assert [row.rank for row in board.rows] == [1, 2, 2, 4, None]


def test_the_order_of_reading_does_not_matter(runs: list[Run]) -> None:
    boards = leaderboard(runs)
    again = leaderboard(runs[::-1])
    assert [to_markdown(boards), to_csv(boards), to_json(boards)] == [
        to_markdown(again), to_csv(again), to_json(again),
    ]  # fmt: skip


def test_a_model_row(tmp_path: Path) -> None:
    row_ = row(a_run(tmp_path, "m", 0.5))
    assert {k: v for k, v in row_.items() if k not in ("date", "run")} == {
        "rank": 1, "rank_low": None, "rank_high": None,
        "name": "m", "kind": "model", "method": "one-shot", "checkpoint": "toy/tiny",
        "PQ": 0.5, "PQ_low": None, "PQ_high": None, "checked": "not verified", "checked_note": "lines missing",
        "SQ": 0.5, "RQ": 0.5, "PQ_things": 0.5, "PQ_stuff": 0.5,
        "mIoU_semantic": None, "mIoU_panoptic": 0.5,
        "published_PQ": 0.666, "published_source": "the paper", "parameters": 2_345_678, "multiply_adds": 3_935_686_144,
        "latency_p50": None, "latency_p95": None, "latency_p99": None, "latency_n": None, "images_per_second": None,
        "peak_bytes": None, "process_peak_bytes": None, "device_peak_bytes": None, "joules_per_image": None,
        "hardware": None,
        "device": "cpu", "precision": "fp32", "input": "256×512", "fusion": "mask2former", "commit": "0123456",
    }  # fmt: skip


def test_a_row_of_predictions_has_no_model(tmp_path: Path) -> None:
    row_ = row(a_run(tmp_path, "p", 0.5, **PREDICTIONS))
    assert row_["kind"] == "predictions"
    absent = (
        "method",
        "checkpoint",
        "published_PQ",
        "parameters",
        "multiply_adds",
        "device",
        "precision",
        "input",
        "fusion",
    )
    assert [row_[name] for name in absent] == [None] * len(absent)


def test_a_number_published_for_another_data_set_is_not_shown(tmp_path: Path) -> None:
    elsewhere = {**MODEL, "published": {"dataset": "cityscapes", "PQ": 0.666, "source": "s", "mIoU": None}}
    assert row(a_run(tmp_path, "m", 0.5, model=elsewhere))["published_PQ"] is None


def test_a_changed_threshold_shows_in_the_fusion(tmp_path: Path) -> None:
    fusion = {**MODEL["fusion"], "score_threshold": 0.5}
    assert row(a_run(tmp_path, "m", 0.5, model={**MODEL, "fusion": fusion}))["fusion"] == (
        "mask2former (score_threshold=0.5)"
    )


def test_a_commit_tells_whether_the_tree_was_dirty(runs: list[Run]) -> None:
    commits = {row.name: row.commit for board in leaderboard(runs) for row in board.rows}
    assert (commits["second"], commits["best"], commits["fourth"]) == ("0123456*", "0123456", None)


def test_a_data_set_is_chosen_by_name_with_or_without_split(runs: list[Run]) -> None:
    counts = {name: sum(len(b.rows) for b in leaderboard(runs, name)) for name in ("toy", "toy:val", "toy:test")}
    assert counts == {"toy": 6, "toy:val": 6, "toy:test": 0}


def test_unfinished_runs_are_left_out(tmp_path: Path) -> None:
    assert leaderboard([Run(tmp_path, meta("m"), None)]) == []


def test_markdown_shows_percent_and_dashes(runs: list[Run]) -> None:
    text = to_markdown(leaderboard(runs))
    best = next(line for line in text.splitlines() if "| best |" in line)
    assert best.startswith(
        "| 1 | – | best | predictions | 62.3 | – | 62.3 | 62.3 | 62.3 | 62.3 | – | 62.3 | – | – | – | –"
    )
    nothing = next(line for line in text.splitlines() if "| nothing" in line)
    assert nothing.startswith("| – | – | nothing (one-shot) | toy/tiny | – | – |")
    assert "| 2.3 | 3.94 | cpu / fp32 | 256×512 | mask2former |" in nothing
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_a_bar_in_a_name_does_not_break_the_table(tmp_path: Path) -> None:
    assert "| a\\|b (one-shot) |" in to_markdown(leaderboard([a_run(tmp_path, "a|b", 0.5)]))


def test_csv_and_json_hold_fractions(runs: list[Run]) -> None:
    boards = leaderboard(runs)
    table = {row["name"]: row for row in csv.DictReader(io.StringIO(to_csv(boards)))}
    assert (table["best"]["PQ"], table["nothing"]["PQ"], table["best"]["rank"]) == ("0.6234", "", "1")
    records = {row["name"]: row for row in json.loads(to_json(boards))}
    assert (records["best"]["PQ"], records["nothing"]["PQ"], records["nothing"]["rank"]) == (0.6234, None, None)
    assert records["best"]["dataset"] == "toy:val"
    assert records["best"]["key"] != records["other-truth"]["key"]


def test_no_runs_are_said_in_words() -> None:
    assert to_markdown([]) == "No complete runs.\n"
    assert json.loads(to_json([])) == []


def test_text_goes_between_the_markers(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- leaderboard:begin -->\nold\n<!-- leaderboard:end -->\nafter\n")
    write_between_markers(path, "new\n")
    assert path.read_text() == "before\n<!-- leaderboard:begin -->\nnew\n<!-- leaderboard:end -->\nafter\n"


def test_writing_again_changes_no_byte(tmp_path: Path, runs: list[Run]) -> None:
    path = tmp_path / "LEADERBOARD.md"
    write_between_markers(path, to_markdown(leaderboard(runs)))
    first = path.read_bytes()
    write_between_markers(path, to_markdown(leaderboard(runs)))
    assert path.read_bytes() == first
    assert b"other-truth" in first


def test_a_file_that_is_not_markdown_is_the_text(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    path.write_text("old")
    write_between_markers(path, "a,b\n")
    assert path.read_text() == "a,b\n"


def test_a_file_is_current_to_the_byte(tmp_path: Path, runs: list[Run]) -> None:
    path, text = tmp_path / "README.md", to_markdown(leaderboard(runs))
    assert not is_current(path, text)
    path.write_text("before\n<!-- leaderboard:begin -->\n<!-- leaderboard:end -->\nafter\n")
    assert not is_current(path, text)
    write_between_markers(path, text)
    assert is_current(path, text)
    path.write_text(path.read_text().replace("62.3", "62.4", 1))
    assert not is_current(path, text)


def test_what_timing_measures_is_shown_only_where_it_was_measured(tmp_path: Path) -> None:
    run, other = a_run(tmp_path, "m", 0.5), a_run(tmp_path, "n", 0.4)
    plain = to_markdown(leaderboard([run, other]))
    assert "| 2.3 | 3.94 | cpu / fp32 |" in plain and "images/s" not in plain
    about = Timing(
        {"total": (0.010, 0.020, 0.030, 0.040) * 5}, 10, "cuda:0", "fp32", "one GPU", "2026-01-01",
        throughput=Throughput(16, 4, 0.5, 8.0), process_peak_bytes=3 * 10**9, device_peak_bytes=1_234_567_890,
    )  # fmt: skip
    write_timing(run.folder, about)
    text = to_markdown(leaderboard([run, other]))
    assert "| 2.3 | 3.94 | 25.0 / 40.0 (n = 20) | 32.0 | 1.23 | one GPU | cpu / fp32 |" in text
    assert "| 2.3 | 3.94 | – | – | – | – | cpu / fp32 |" in text and "at the batch size of the run" in text
    found = row(run)
    assert (found["hardware"], found["latency_p99"], found["joules_per_image"]) == ("one GPU", None, 0.5)
    (table,) = to_tables(leaderboard([run, other]))
    assert table.columns[-4:] == ("checkpoint", "images/s", "peak memory (GB)", "timed on"), "the last to fit"
    frame = to_frame([run, other])
    assert frame["peak_bytes"].tolist()[0] == 1_234_567_890 and frame["images_per_second"].tolist()[0] == 32.0


def test_too_few_images_have_no_high_percentile(tmp_path: Path) -> None:
    run = a_run(tmp_path, "m", 0.5)
    write_timing(run.folder, Timing({"total": (0.010, 0.020, 0.030)}, 10, "cpu", "fp32", "a CPU", "2026-01-01"))
    assert "| 20.0 / – (n = 3) | – | – | a CPU |" in to_markdown(leaderboard([run]))


@pytest.mark.parametrize(
    "text",
    [
        "somebody's words\n",
        "<!-- leaderboard:begin -->\n",
        "<!-- leaderboard:end -->\n<!-- leaderboard:begin -->\n",
        "<!-- leaderboard:begin --><!-- leaderboard:end -->" * 2,
    ],
)
def test_a_text_without_one_pair_of_markers_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(DataError, match="leaderboard:begin"):
        write_between_markers(path, "new")
    assert path.read_text() == text


def scored(root: Path, name: str, flaws: Sequence[int], images: int = 12) -> Run:
    """A run whose prediction lacks `flaws` of 20 columns, image by image in turn."""
    infos = {1: SegmentInfo(1), 2: SegmentInfo(2)}
    truth = Panoptic.from_ids(np.repeat([[1] * 10 + [2] * 10], 4, axis=0), infos)
    lines = []
    for k in range(images):
        ids = truth.id_map.copy()
        ids[:, 20 - flaws[k % len(flaws)] :] = 0
        lines.append(line(str(k), truth, Panoptic.from_ids(ids, infos)))
    return finished(root / name, meta(name), total(lines), lines=lines)


def test_rank_ranges_say_which_ranks_are_sure(tmp_path: Path) -> None:
    runs = [scored(tmp_path, "best", [0]), scored(tmp_path, "even", [2, 4]), scored(tmp_path, "odd", [4, 2]),
            scored(tmp_path, "worst", [8])]  # fmt: skip
    (board,) = leaderboard(runs)
    spans = {row.name: (row.rank_low, row.rank_high) for row in board.rows}
    assert spans == {"best": (1, 1), "even": (2, 3), "odd": (2, 3), "worst": (4, 4)}
    text = to_markdown([board])
    assert "| 2 | 2–3 | even" in text and "rank 95 %: " in text
    (plain,) = leaderboard(runs, ranges=False)
    assert {row.rank_low for row in plain.rows} == {None}
    assert "rank 95 %: " not in to_markdown([plain])


def test_a_run_without_its_lines_has_no_range(tmp_path: Path) -> None:
    runs = [scored(tmp_path, "one", [0]), scored(tmp_path, "two", [4]), a_run(tmp_path, "bare", 0.5)]
    (board,) = leaderboard(runs)
    assert {row.name: row.rank_low for row in board.rows} == {"one": 1, "two": 2, "bare": None}
    notes = {row.name: row.checked_note for row in board.rows}
    assert notes == {"one": "totals not confirmed", "two": "totals not confirmed", "bare": "lines missing"}
    assert "| not verified (lines missing) |" in to_markdown([board])


def test_the_interval_is_that_of_show(tmp_path: Path) -> None:
    runs = [scored(tmp_path, "one", [0, 3, 9]), scored(tmp_path, "two", [4, 1, 8])]
    told = [next(mean for mean in intervals(run)["means"] if mean["name"] == "PQ") for run in runs]
    (board,) = leaderboard(runs)
    ends = {row.name: (row.PQ_low, row.PQ_high) for row in board.rows}
    assert ends == {run.name: (one["low"], one["high"]) for run, one in zip(runs, told, strict=True)}
    low, high = ends["one"]
    assert low is not None and high is not None and low < high
    assert f"| {100 * low:.1f}–{100 * high:.1f} |" in to_markdown([board])
    (alone,) = leaderboard(runs[:1])
    assert ((alone.rows[0].PQ_low, alone.rows[0].PQ_high), alone.rows[0].rank_low) == (ends["one"], None)


def test_each_line_is_read_once_and_the_columns_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    runs = [scored(tmp_path, "one", [0, 3, 9]), scored(tmp_path, "two", [4, 1, 8])]
    parsed, from_json = [], Overlap.from_json
    monkeypatch.setattr(Overlap, "from_json", lambda data: (parsed.append(1), from_json(data))[1])
    boards = [leaderboard([read_run(run.folder) for run in runs]) for _ in range(2)]
    assert boards[0] == boards[1] and len(parsed) == 24
    assert {row.rank for row in boards[0][0].rows} == {1, 2}
    assert {row.checked for row in boards[0][0].rows} == {"not verified"}
