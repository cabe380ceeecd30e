"""Text output of scores, leaderboards and comparisons, shared by the commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.cli.console import print_json, print_note, print_status, print_table, print_tables, print_text

if TYPE_CHECKING:
    from bench.analysis.choice import Choice
    from bench.analysis.comparison import Comparison
    from bench.analysis.label_map_audit import MapAudit
    from bench.analysis.paired_breakdown import PairedBreakdown
    from bench.analysis.ranking import Board
    from bench.analysis.rules import RuleBoard
    from bench.analysis.wins import Wins
    from bench.datasets.dataset import Dataset
    from bench.metrics.score import Score
    from bench.results.run import Run
    from bench.results.shards import Shard


def render_score(run: Run, score: Score, as_json: bool, per_class: bool = False) -> None:
    """Print the totals of a run, and its timing if measured. The JSON has `reused` if the run was finished before."""
    from bench.results.timing import read_timing

    print_warnings(score)
    cost = {"parameters": run.meta.parameters, "multiply_adds": run.meta.multiply_adds}
    timing = read_timing(run.folder)
    if as_json:
        known = {name: value for name, value in cost.items() if value is not None}
        timed = {"timing": timing.summary()} if timing else {}
        print_json({**score.to_json(), **known, **timed, **({"reused": True} if run.reused else {})})
        return
    from bench.reports.breakdown_tables import boundary_tables
    from bench.reports.tables import class_table, cost_line, headline, ignored_line
    from bench.reports.timing import timing_lines, timing_table

    tables = [headline(run.name, run.dataset, score)] + ([class_table(score)] if per_class else [])
    if score.boundary is not None:
        tables += boundary_tables(score.boundary, per_class)
    print_tables(tables)
    for line in (ignored_line(score), cost_line(**cost)):
        if line:
            print_text(line)
    if timing:
        print_tables([timing_table(timing)])
        print_note("\n".join(timing_lines(timing)))


def print_warnings(score: Score, where: str = "") -> None:
    """Print on stderr each reason not to trust the numbers of a score."""
    from bench.reports.tables import warnings_on

    for warning in warnings_on(score):
        print_status(f"{where}: {warning}" if where else warning)


def render_run(run: Run, as_json: bool, per_class: bool = False) -> None:
    render_score(run, run.score, as_json, per_class)
    print_status(f"run: {run.folder}")


def render_views(run: Run, views: list[str], as_json: bool) -> None:
    """Print breakdowns of a run; in JSON an object with one key per breakdown."""
    from bench.analysis.breakdown import breakdown
    from bench.reports.breakdown_tables import breakdown_tables

    found = {view: breakdown(run, view) for view in views}
    if as_json:
        print_json(found)
        return
    print_text(f"{run.name} on {run.dataset}, {run.score.images} images, percent")
    print_tables(breakdown_tables(found))


def render_comparison(
    found: Comparison | Wins, style: str, breakdowns: Sequence[PairedBreakdown] = (), classes: int | None = None
) -> None:
    """Print the result as sentences, then its tables and notes. LaTeX is the tables alone, CSV a row a difference.

    `classes` bounds the rows of the table of classes; JSON and CSV have all.
    """
    from bench.reports.breakdown_tables import paired_tables
    from bench.reports.comparison_tables import difference_tables
    from bench.reports.leaderboard import records_to_csv
    from bench.reports.tables import to_latex_tables, to_markdown_table

    tables = [*difference_tables(found, classes), *(table for one in breakdowns for table in paired_tables(one))]
    sentences = [*found.sentences, *(one.sentence for one in breakdowns)]
    if style == "json":
        print_json({**found.to_json(), **{one.view: one.to_json() for one in breakdowns}})
    elif style == "csv":
        records = [*found.records(), *(record for one in breakdowns for record in one.records())]
        print_text(records_to_csv(records, list(records[0])).rstrip())
    elif style == "latex":
        print_text(to_latex_tables(tables, "differences").rstrip())
    elif style == "md":
        said = "\n".join(f"- {sentence}" for sentence in sentences)
        shown = [f"\n### {one.title}\n\n{to_markdown_table(one.without_empty())}" for one in tables]
        print_text("\n".join([said, *shown]).rstrip())
    else:
        print_text("\n".join(sentences))
        print_tables(tables)
        print_note("\n".join(found.notes))


def render_choice(found: Choice, style: str) -> None:
    """Print which run to take, and a table of all."""
    from bench.reports.breakdown_tables import choice_table
    from bench.reports.tables import to_markdown_table

    if style == "json":
        print_json(found.to_json())
        return
    table = choice_table(found)
    print_text("\n".join(found.sentences))
    if style == "md":
        print_text(f"\n### {table.title}\n\n{to_markdown_table(table, ('run', 'place'))}".rstrip())
    else:
        print_tables([table])


def render_run_or_shard(run: Run, shard: Shard, as_json: bool) -> None:
    """Print the totals, or the number of finished images if shards are missing."""
    if run.done is not None:
        render_run(run, as_json)
        return
    images, total = sum(1 for _ in run.lines()), run.meta.dataset.images
    if as_json:
        print_json({"run": str(run.folder), "shard": shard.name, "images": images, "of": total})
    else:
        print_text(
            f"shard {shard.name} is done; {images} of {total} images are scored; join them by: bench merge {run.folder}"
        )


def print_missing(data: Dataset) -> None:
    """Print on stderr why there is no PQ, if the data set has no instances."""
    if "panoptic" not in data.carries:
        from bench.datasets.semantic_rgb import NO_PQ

        print_status(f"{data.name} {NO_PQ}")


def boards_text(boards: list[Board], style: str, columns: list[str] | None = None) -> str:
    from bench.reports.leaderboard import PAPER, to_csv, to_json, to_latex, to_markdown

    if style == "md":
        return to_markdown(boards, columns)
    if style == "latex":
        return to_latex(boards, columns or PAPER)
    return to_csv(boards) if style == "csv" else to_json(boards)


def write_boards(path: Path, boards: list[Board], style: str, check: bool, columns: list[str] | None = None) -> None:
    """Write leaderboards to a file; with `check`, exit with code 1 if the file is not current."""
    from bench.reports.leaderboard import is_current, write_between_markers

    text = boards_text(boards, "md" if style == "table" else style, columns)
    if not check:
        write_between_markers(path, text)
    elif not is_current(path, text):
        print_status(f"{path}: its leaderboard is out of date; write it by the same command without --check")
        raise typer.Exit(1)


def render_boards(boards: list[Board], style: str, columns: list[str] | None = None) -> None:
    from bench.reports.leaderboard import TERMINAL, to_tables

    if style != "table":
        print_text(boards_text(boards, style, columns).rstrip("\n"))
        return
    print_tables(to_tables(boards, columns or TERMINAL))
    if not boards:
        print_text("no complete runs; `bench run` makes one")


def render_rule_boards(boards: list[RuleBoard], style: str) -> None:
    """Print boards under one rule; csv and json have fractions, one record per run."""
    from bench.reports.breakdown_tables import rule_board_table
    from bench.reports.leaderboard import records_to_csv
    from bench.reports.tables import to_latex_tables, to_markdown_table

    records = [
        {"dataset": board.dataset, "images": board.images, "key": board.key, "rule": board.rule, "rank": row.rank,
         "name": row.name, "run": row.run, **vars(row.quality.all), **{f"PQ {rule}": pq for rule, pq in row.PQ.items()},
         **{f"rank {rule}": rank for rule, rank in row.ranks.items()}}
        for board in boards
        for row in board.rows
    ]  # fmt: skip
    if style == "json":
        print_json(records)
    elif style == "csv":
        print_text(records_to_csv(records, list(records[0]) if records else []).rstrip("\n"))
    elif style == "latex":
        print_text(to_latex_tables([rule_board_table(board) for board in boards], "rules", {"model"}).rstrip())
    elif style == "md":
        tables = [rule_board_table(board) for board in boards]
        print_text("\n".join(f"### {one.title}\n\n{to_markdown_table(one, {'model'})}" for one in tables).rstrip())
    else:
        print_tables([rule_board_table(board) for board in boards])
    if not boards:
        print_status("no complete run with a PQ; `bench run` makes one")


def render_map(audit: MapAudit, as_json: bool) -> None:
    found = audit.to_json()
    if as_json:
        print_json(found)
        return
    from bench.reports.tables import percent

    pixels, ceiling = found["pixels"], found["ceiling"]
    share = {name: percent(count / pixels["all"] if pixels["all"] else None) for name, count in pixels.items()}
    rows = [[c["name"], percent(c["pixels"] / max(pixels["all"], 1)), ", ".join(c["from"])] for c in found["classes"]]
    print_table(f"{found['dataset']}, {found['images']} images", ["class", "pixels (%)", "from"], rows)
    gone = [f"{name} ({percent(n / pixels['all'])} %)" for name, n in found["to_void"].items() if n]
    print_text(
        f"pixels: {share['covered']} % are of a class; {share['lost']} % became void, {share['gained']} % were void\n"
        f"to void: {len(found['to_void'])} classes, with pixels here: {', '.join(gone) or 'none'}\n"
        f"unreachable: {', '.join(found['unreachable']) or 'none'}\n"
        f"ceiling: PQ {percent(ceiling['PQ'])}, mIoU {percent(ceiling['mIoU'])}\n"
        f"sha256: {found['sha256']}"
    )


def render_demo(runs: list[Run], data: Dataset, out: Path) -> None:
    """Print the leaderboard of the demo, and the paths of its plots and its page."""
    from bench.analysis.ranking import leaderboard
    from bench.reports.report import report

    render_boards(leaderboard(runs), "table")
    page, *others = report(runs, out / "report", data)
    for path in [*(path for path in others if path.parent == page.parent and path.suffix == ".png"), page]:
        print_text(str(path))
