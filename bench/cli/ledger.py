"""Commands `bench ledger` and `bench reproduce`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.console import print_json, print_status, print_tables, print_text
from bench.cli.progress import run_progress
from bench.cli.run import Device, Json, Out, Root, open_data
from bench.cli.stored import Results

if TYPE_CHECKING:
    from bench.models.ledger import Entry

PublishedYaml = Annotated[Path | None, typer.Option(help="YAML of published rows (default: those that ship).")]


def register(app: typer.Typer) -> None:
    app.command("ledger")(ledger_command)
    app.command("reproduce")(reproduce_command)


def ledger_command(
    dataset: Annotated[str | None, typer.Option(help="Only this data set, e.g. coco or coco:val.")] = None,
    published: PublishedYaml = None,
    results: Results = Path("results"),
    format_: Annotated[Literal["table", "md"], typer.Option("--format", help="Output.")] = "table",
    json_: Json = False,
) -> None:
    """Show published results beside measured ones. Each is compared under its own rule."""
    from bench.errors import UsageError
    from bench.io.config import did_you_mean
    from bench.models.ledger import ledger, read_published
    from bench.results.run import read_runs

    file = read_published(published)
    entries = ledger(file, read_runs(results), results, dataset)
    if dataset and not entries:
        known = sorted({row.dataset for row in file.rows})
        raise UsageError(f"--dataset {dataset}: no result is published on it; {did_you_mean(dataset, known)}")
    _show(entries, "json" if json_ else format_)


def reproduce_command(
    name: Annotated[str, typer.Argument(help="Checkpoint with a published result (bench ledger), or a YAML file.")],
    note: Annotated[str, typer.Option(help="Explanation of the difference, kept with the run.")] = "",
    published: PublishedYaml = None,
    data_root: Root = None,
    device: Device = "auto",
    out: Out = Path("results"),
    json_: Json = False,
) -> None:
    """Run a checkpoint as published, and compare. The run is noted in ledger.json."""
    from bench.models.ledger import entry, read_notes, read_published, spec_row, write_note
    from bench.models.resolve import resolve_model

    row = spec_row(resolve_model(name, None))
    data = open_data(f"{row.dataset}:{row.split}", data_root, None, None)
    spec = resolve_model(name, data.name, base=data.base, space=data.space)
    # After the settings are checked: this import loads torch.
    from bench.evaluation.run import run

    protocol: Literal["coco", "strict"] = "strict" if row.rule == "strict" else "coco"
    with run_progress(f"{row.name} on {row.dataset}:{row.split}") as (on_file, on_image):
        done = run(
            spec, data, out, device=device, protocol=protocol, command=["bench", *sys.argv[1:]],
            on_image=on_image, on_file=on_file,
        )  # fmt: skip
    print_status(f"noted: {write_note(done, out, row.name, note)}")
    splits = read_published(published).splits
    images = splits.get(done.dataset, len(data.samples))
    _show([entry(row, images, [done], out, read_notes(out).runs)], "json" if json_ else "table")


def _show(entries: list[Entry], style: str) -> None:
    from bench.reports.tables import Table, ends, percent, to_markdown_table, value

    if style == "json":
        return print_json([entry.to_json() for entry in entries])
    columns = (
        "model", "published PQ", "rule", "measured PQ", "difference", "95 % of it", "verdict", "why", "on", "source",
    )  # fmt: skip
    rows = tuple(
        (
            f"{row.name or row.model}{f', {row.backbone}' if row.backbone else ''}",
            percent(row.PQ),
            row.rule,
            "–" if entry.measured is None else f"{100 * entry.measured:.2f}",
            value(entry.difference, 2, "+"),
            ends(entry.difference, 2, "+"),
            entry.verdict,
            entry.why or "–",
            f"{row.dataset}:{row.split}{f' ({row.setting})' if row.setting else ''}",
            row.source,
        )
        for entry in entries
        for row in [entry.published]
    )
    table = Table("Published and measured PQ, percent; compared only under the rule of the row", columns, rows)
    if style == "md":
        return print_text(to_markdown_table(table, set(columns) - set(columns[1:2]) - set(columns[3:6])).rstrip("\n"))
    print_tables([table])
