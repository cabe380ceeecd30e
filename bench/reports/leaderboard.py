"""Leaderboards as Markdown, CSV and JSON, optionally between markers of a file. Output is deterministic."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.analysis.ranking import DIRTY, Board, Row
from bench.errors import DataError
from bench.io import files
from bench.reports.tables import UNDEFINED, Table, giga, millions, percent, to_latex_tables, to_markdown_table
from bench.reports.timing import gigabytes, latency, rate

BEGIN = "<!-- leaderboard:begin -->"
END = "<!-- leaderboard:end -->"

COLUMNS = (
    "#", "rank 95 %", "model", "checkpoint", "PQ", "PQ 95 %", "SQ", "RQ", "PQ things", "PQ stuff", "mIoU semantic",
    "mIoU panoptic", "published PQ", "params (M)", "multiply-adds (G)", "latency p50 / p95 (ms)", "images/s",
    "peak memory (GB)", "timed on", "device", "input (px)", "fusion", "verified", "date", "commit",
)  # fmt: skip
# By importance: columns that do not fit into a terminal are left out from the end.
TERMINAL = (
    "#", "model", "PQ", "PQ things", "PQ stuff", "mIoU semantic", "mIoU panoptic", "rank 95 %", "PQ 95 %", "params (M)",
    "multiply-adds (G)", "latency p50 / p95 (ms)", "checkpoint", "images/s", "peak memory (GB)", "timed on",
)  # fmt: skip
TIMED = ("latency p50 / p95 (ms)", "images/s", "peak memory (GB)", "timed on")  # by `bench run --timing`
PAPER = (
    "model", "PQ", "PQ 95 %", "SQ", "RQ", "PQ things", "PQ stuff", "mIoU semantic", "mIoU panoptic", "params (M)",
    "multiply-adds (G)", "latency p50 / p95 (ms)",
)  # fmt: skip
HIGHEST = ("PQ", "SQ", "RQ", "PQ things", "PQ stuff", "mIoU semantic", "mIoU panoptic", "images/s")
LOWEST = ("params (M)", "multiply-adds (G)", "latency p50 / p95 (ms)", "peak memory (GB)")
TEXT = ("model", "checkpoint", "timed on", "device", "input (px)", "fusion", "verified", "date", "commit")


def to_markdown(boards: Sequence[Board], columns: Sequence[str] | None = None) -> str:
    """Return a heading and a Markdown table per board; percent with one decimal.

    By default, a board has all columns, those of TIMED if one of its runs was timed.
    """
    return "\n".join(_markdown(board, columns or _columns(board)) for board in boards) or "No complete runs.\n"


def _columns(board: Board) -> list[str]:
    timed = any(row.latency_n for row in board.rows)
    return [name for name in COLUMNS if timed or name not in TIMED]


def _markdown(board: Board, columns: Sequence[str]) -> str:
    table = to_markdown_table(_table("", board, columns), set(TEXT) & set(columns))
    images = "1 image" if board.images == 1 else f"{board.images} images"
    about = f"{images}, protocol `{board.protocol}`, truth and rules `{board.key}`; qualities in percent"
    # A column is explained only on a board that has values in it.
    if "multiply-adds (G)" in columns and any(row.multiply_adds for row in board.rows):
        about += ";\nmultiply-adds: matrix multiplications and convolutions of the network for the first image"
    if set(TIMED) & set(columns) and any(row.latency_n for row in board.rows):
        about += (
            ";\nlatency: of single images, without reading them; images/s: at the batch size of the run, one stage "
            "after the other;\npeak memory: of the device if the model runs on one, else of the process"
        )
    if "rank 95 %" in columns and any(row.rank_low is not None for row in board.rows):
        about += ";\nrank 95 %: the ranks that a run takes in 95 % of the resamplings of the images"
    if "PQ 95 %" in columns and any(row.PQ_low is not None for row in board.rows):
        about += ";\nPQ 95 %: where its PQ lies in 95 % of the resamplings of the images"
    if "verified" in columns and any(row.checked for row in board.rows):
        about += ";\nverified: the stored lines of the run have its checksum and give its totals again"
    dirty = "commit" in columns and any((row.commit or "").endswith(DIRTY) for row in board.rows)
    mark = "\n\\* run from a working tree with changes on top of that commit\n" if dirty else ""
    return f"### {board.dataset}\n\n{about}\n\n{table}{mark}"


def to_tables(boards: Sequence[Board], columns: Sequence[str] = TERMINAL) -> list[Table]:
    """Return one table per board, the most important columns first."""
    return [
        _table(f"{board.dataset}, {board.images} images, protocol {board.protocol}, percent", board, columns)
        for board in boards
    ]


def to_latex(boards: Sequence[Board], columns: Sequence[str] = PAPER) -> str:
    """Return a LaTeX table per board."""
    return to_latex_tables(to_tables(boards, columns), "leaderboard", set(TEXT) & set(columns))


def _table(title: str, board: Board, columns: Sequence[str]) -> Table:
    rows = [dict(zip(COLUMNS, _cells(row), strict=True)) for row in board.rows]
    cells = tuple(tuple(row[name] for name in columns) for row in rows)
    return Table(title, tuple(columns), cells, HIGHEST, LOWEST)


def _cells(row: Row) -> list[str]:
    fractions = (row.SQ, row.RQ, row.PQ_things, row.PQ_stuff, row.mIoU_semantic, row.mIoU_panoptic)
    device = " / ".join(part for part in (row.device, row.precision) if part)
    verified = f"{row.checked} ({row.checked_note})" if row.checked_note else row.checked
    costs = millions(row.parameters), giga(row.multiply_adds)
    speed = row.images_per_second and rate(row.images_per_second)
    memory = row.peak_bytes and gigabytes(row.peak_bytes)
    timed = _latency(row), speed, memory, row.hardware
    texts = (*costs, *timed, device, row.input, row.fusion, verified, row.date, row.commit)
    return [
        "–" if row.rank is None else str(row.rank),
        _range(row.rank_low, row.rank_high),
        f"{row.name} ({row.method})" if row.method else row.name,
        row.checkpoint or ("predictions" if row.kind == "predictions" else "–"),
        percent(row.PQ),
        _interval(row),
        *(percent(value) for value in (*fractions, row.published_PQ)),
        *(text or "–" for text in texts),
    ]


def _latency(row: Row) -> str | None:
    """Return median and 95th percentile in ms with the number of images, or None if latency was not measured."""
    return f"{latency(row.latency_p50, row.latency_p95)} (n = {row.latency_n})" if row.latency_n else None


def _interval(row: Row) -> str:
    known = row.PQ_low is not None and row.PQ_high is not None
    return f"{percent(row.PQ_low)}–{percent(row.PQ_high)}" if known else UNDEFINED


def _range(low: int | None, high: int | None) -> str:
    return "–" if low is None else f"{low}" if low == high else f"{low}–{high}"


def _records(boards: Sequence[Board]) -> list[dict[str, Any]]:
    return [
        {"dataset": board.dataset, "images": board.images, "protocol": board.protocol, "key": board.key}
        | dataclasses.asdict(row)
        for board in boards
        for row in board.rows
    ]


def to_json(boards: Sequence[Board]) -> str:
    """Return a JSON list of records; fractions, null if undefined."""
    return json.dumps(_records(boards), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(boards: Sequence[Board]) -> str:
    """Return one CSV row per run; fractions, empty if undefined. Ranks are comparable only within one `key`."""
    names = ["dataset", "images", "protocol", "key", *(field.name for field in dataclasses.fields(Row))]
    return records_to_csv(_records(boards), names)


def records_to_csv(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Return records as CSV with the columns `names`."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return stream.getvalue()


def write_between_markers(path: Path, text: str) -> Path:
    """Write `text` between the markers of a file, or create the file.

    Raises DataError for an existing Markdown file without markers, so that foreign text is not overwritten.
    """
    new = updated(path, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.write_atomic(path) as temporary:
        temporary.write_text(new, encoding="utf-8", newline="\n")
    return path


def is_current(path: Path, text: str) -> bool:
    """Return whether writing `text` would leave the file unchanged, byte for byte."""
    # As bytes: reading as text would turn CRLF into LF and hide the difference.
    return path.is_file() and path.read_bytes() == updated(path, text).encode("utf-8")


def updated(path: Path, text: str) -> str:
    try:
        old = files.read_bytes(path).decode("utf-8") if path.is_file() else ""
    except ValueError as error:
        raise DataError(f"{path}: is not UTF-8 text ({error}); name another file") from None
    markdown = path.suffix.lower() == ".md"
    if BEGIN in old or END in old:
        return _between(path, old, text)
    if markdown and old.strip():
        raise DataError(f"{path}: add the lines {BEGIN} and {END} where the leaderboard belongs")
    return f"# Leaderboard\n\n{BEGIN}\n{text.strip()}\n{END}\n" if markdown else text


def _between(path: Path, old: str, text: str) -> str:
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in before + after:
        raise DataError(f"{path}: needs {BEGIN} once and {END} once below it")
    return f"{before}{BEGIN}\n{text.strip()}\n{END}{after}"
