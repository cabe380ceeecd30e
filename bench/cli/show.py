"""Scores and leaderboards as text; shared by the commands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.cli.output import err, print_json, print_table, print_text


def show_score(run: Any, score: Mapping[str, Any], as_json: bool, per_class: bool = False) -> None:
    """The totals of a run on stdout."""
    if as_json:
        print_json(score)
        return
    from bench.report.tables import class_table, headline

    tables = [headline(run.name, run.dataset, score)] + ([class_table(score)] if per_class else [])
    for table in tables:
        print_table(table.title, list(table.columns), [list(row) for row in table.rows])


def show_run(run: Any, as_json: bool, per_class: bool = False) -> None:
    """The totals, and where the run lies (on stderr)."""
    show_score(run, run.score, as_json, per_class)
    err.print(f"run: {run.folder}", markup=False)


def boards_text(boards: list[Any], style: str) -> str:
    """Leaderboards in a format for files."""
    from bench.report import leaderboard

    text: str = {"md": leaderboard.to_markdown, "csv": leaderboard.to_csv, "json": leaderboard.to_json}[style](boards)
    return text


def show_boards(boards: list[Any], style: str) -> None:
    """Leaderboards on stdout: tables for people, or a format for files."""
    from bench.report.leaderboard import to_tables

    if style != "table":
        print_text(boards_text(boards, style).rstrip("\n"))
        return
    for table in to_tables(boards):
        print_table(table.title, list(table.columns), [list(row) for row in table.rows])
    if not boards:
        print_text("no complete runs; `bench run` makes one")


def show_demo(run: Any, data: Any, out: Path) -> None:
    """The leaderboard of the demo and the paths of its plots."""
    from bench.report.leaderboard import leaderboard
    from bench.report.report import report
    from bench.results import read_runs

    show_boards(leaderboard(read_runs(out), f"{data.name}:{data.split}"), "table")
    for path in report(run, out / "report", data):
        print_text(str(path))
