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


def show_boards(boards: list[Any], style: str) -> str:
    """Leaderboards in the asked format."""
    from bench.report import leaderboard

    text: str = {"md": leaderboard.to_markdown, "csv": leaderboard.to_csv, "json": leaderboard.to_json}[style](boards)
    return text


def show_demo(run: Any, data: Any, out: Path) -> None:
    """The leaderboard of the demo and the paths of its plots."""
    from bench.report.leaderboard import leaderboard
    from bench.report.report import report
    from bench.results import read_runs

    boards = leaderboard(read_runs(out), f"{data.name}:{data.split}")
    print_text(show_boards(boards, "md"))
    for path in report(run, out / "report", data):
        print_text(str(path))
