"""Tables that fit a terminal, plain progress lines, and output in any encoding."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest
from place import Call

from bench.cli import console
from bench.cli.console import fit_columns, print_json, print_table
from bench.cli.memory import memory_watch
from bench.cli.progress import progress_lines, training_progress
from bench.results.memory import Memory
from bench.training.log import StepReport

COLUMNS = ("#", "model", "PQ", "PQ things", "multiply-adds (G)", "rank 95 %")
ROWS = (
    ("1", "mask2former (one-shot)", "56.9", "–", "3.94", "1–2"),
    ("2", "efficientps (shared-backbone)", "9.8", "–", "12.8", "1–2"),
)


def words(cells: Sequence[str]) -> set[str]:
    return {word for cell in cells for word in cell.split()}


def test_a_split_is_no_picture_of_a_train(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_status("ade20k:train: 1 of 8 images")
    print_table("", ["data"], [["ade20k:train:"], ["a [bold] name"]])
    out, err = capsys.readouterr()
    assert "ade20k:train:" in out and "a [bold] name" in out and err == "ade20k:train: 1 of 8 images\n"


@pytest.mark.parametrize("width", range(20, 90))
def test_no_word_is_cut_and_no_line_is_longer(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table("", COLUMNS, ROWS)
    out, err = capsys.readouterr()
    shown, _ = fit_columns(COLUMNS, ROWS, width)
    assert max(map(len, out.splitlines())) <= width or len(shown) == 1
    for i in shown:
        assert words([COLUMNS[i], *(row[i] for row in ROWS)]) - set(out.split()) == set()
    left_out = [COLUMNS[i] for i in range(len(COLUMNS)) if i not in shown and i != 3]
    assert (left_out == []) == (err == "") and all(name in err for name in left_out)


def test_a_column_without_a_value_is_left_out() -> None:
    shown, _ = fit_columns(COLUMNS, ROWS, None)
    assert [COLUMNS[i] for i in shown] == ["#", "model", "PQ", "multiply-adds (G)", "rank 95 %"]
    assert fit_columns(COLUMNS, [], None)[0] == list(range(len(COLUMNS)))


def test_the_last_columns_go_first() -> None:
    sizes = [len(fit_columns(COLUMNS, ROWS, width)[0]) for width in range(10, 120)]
    assert sizes == sorted(sizes) and sizes[-1] == 5
    assert fit_columns(COLUMNS, ROWS, 40)[0][:3] == [0, 1, 2]


@pytest.mark.parametrize(
    "cell", ["1", "–", "", "-0.3 to +2.5", "> 0.999", "3.4 / 5.0 (n = 8)", "55.8–58.0", "12+3", "1,234"]
)
def test_numbers_are_never_wrapped(cell: str) -> None:
    _, (_, width) = fit_columns(("a", "b"), [("x", cell), ("y", "2")], 30)
    assert width >= len(cell)


def test_progress_is_lines_where_there_is_no_terminal() -> None:
    now, said = [0.0], list[str]()
    on_image = progress_lines("scoring", clock=lambda: now[0], write=said.append)
    for done, seconds in ((1, 0.5), (2, 1.9), (3, 2.1), (4, 5.0), (5, 12.2), (6, 13.0)):
        now[0] = seconds
        on_image(done, 6)
    assert said == ["scoring: 3 of 6 images, 2 s", "scoring: 5 of 6 images, 12 s", "scoring: 6 of 6 images, 13 s"]


def test_lines_of_a_run_have_the_memory_in_use() -> None:
    now, said = [0.0], list[str]()
    found = [Memory("mem", 24_000_000_000, 20_900_000_000, 1_210_000_000)]
    watch = memory_watch(said.append, lambda: found, lambda: now[0])
    on_image = progress_lines("running", clock=lambda: now[0], write=said.append, memory=watch)
    now[0] = 3.0
    on_image(1, 2)
    found.append(Memory("cuda:0", 80_000_000_000, 70_000_000_000, 900_000_000))
    now[0] = 13.0
    on_image(2, 2)
    assert said == [
        "running: 1 of 2 images, 3 s, mem 3.1 of 24.0 GB, this process 1.2",
        "running: 2 of 2 images, 13 s, mem 3.1 of 24.0 GB, this process 1.2; cuda:0 10.0 of 80.0 GB, this process 0.90",
    ]


def test_memory_that_runs_low_is_warned_of_once() -> None:
    now, said, free = [0.0], list[str](), [5]

    def read() -> list[Memory]:
        return [Memory("mem", 100 * 10**9, free[0] * 10**9, 10**9)]

    watch = memory_watch(said.append, read, lambda: now[0])
    assert (watch(), said) == ("mem 95.0 of 100.0 GB, this process 1.0", [])
    free[0] = 4
    assert (watch(), said) == ("mem 95.0 of 100.0 GB, this process 1.0", []), "not read again within a second"
    for second in (1.0, 2.0, 3.0):
        now[0] = second
        assert watch() == "mem 96.0 of 100.0 GB, this process 1.0"
    (warning,) = said
    assert "memory runs low: mem 100.0 GB total, 4.0 free, 96.0 used, 1.0 by this process; " in warning
    assert "--batch-size" in warning


def test_lines_of_a_training_have_the_memory_in_use(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.cli.progress.FIRST_LINE", 0.0)
    with training_progress() as (on_step, _):
        on_step(StepReport(step=3, done=0.5, seconds=1.0, loss=1.25, lr=0.1))
    assert re.fullmatch(
        r"training: 50 %, step 3 loss 1.25, mem [\d.]+ of [\d.]+ GB, this process [\d.]+\n", capsys.readouterr().err
    )


def test_doctor_tells_the_memory(call: Call) -> None:
    found = json.loads(call("doctor", "--json").out)["memory"]
    assert found["total"] == found["free"] + found["used"] and 1e6 < found["process"] < found["used"]
    assert re.search(
        r"^memory +[\d.]+ GB total, [\d.]+ free, [\d.]+ used, [\d.]+ by this process", call("doctor").out, re.MULTILINE
    )


def test_short_work_is_silent() -> None:
    said = list[str]()
    on_image = progress_lines("scoring", clock=lambda: 0.0, write=said.append)
    on_image(1, 2)
    on_image(2, 2)
    assert said == []


def test_announced_work_has_a_line_at_once() -> None:
    said = list[str]()
    progress_lines("making it", announced=True, clock=lambda: 0.0, write=said.append)(1, 9)
    assert said == ["making it: 1 of 9 images, 0 s"]


CODE = """
from bench.cli.console import accept_every_character, print_json, print_table, print_text
accept_every_character()
print_table("é – ±", ["a", "rank"], [["é", "1–2"]])
print_text("→ 日本")
print_json({"name": "日本 –"})
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_encoding_takes_every_character(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, env={"PYTHONIOENCODING": encoding}, check=False
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert json.loads(text[text.index("{") :]) == {"name": "日本 –"}
    assert ("1-2" in text) == (encoding in ("ascii", "latin-1"))
    assert ("-> \\u65e5\\u672c" in text) == (encoding != "utf-8")


def test_json_is_readable_in_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(console.sys, "stdout", stream)
    print_json({"name": "é"})
    stream.seek(0)
    assert "é" in stream.read()
