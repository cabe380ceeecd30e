"""Read-only commands: `bench show`, `compare`, `leaderboard`, `report`, `datasets`, `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli import render
from bench.cli.console import print_json, print_status, print_table, print_text
from bench.cli.run import Json, Root
from bench.cli.stored import DatasetName, Gt, GtDir, Results, RunName, RunNames, open_truth

if TYPE_CHECKING:
    from bench.datasets.dataset import Dataset
    from bench.results.run import Run


CLASSES = 10  # of the largest differences, that `bench compare` prints


def register(app: typer.Typer) -> None:
    app.command("show")(show_command)
    app.command("compare")(compare_command)
    app.command("leaderboard")(leaderboard_command)
    app.command("choose")(choose_command)
    app.command("report")(report_command)
    app.command("datasets")(datasets_command)
    app.command("doctor")(doctor_command)


def show_command(
    run: RunName,
    per_class: Annotated[bool, typer.Option("--per-class", help="One row per class.")] = False,
    errors: Annotated[bool, typer.Option("--errors", help="Loss of PQ by type of error.")] = False,
    by_size: Annotated[bool, typer.Option("--by-size", help="PQ of small, medium and large segments.")] = False,
    thresholds: Annotated[bool, typer.Option("--thresholds", help="PQ at IoU 0.5 to 0.95, and PQ†.")] = False,
    confusion: Annotated[bool, typer.Option("--confusion", help="Confusion of classes in pixels.")] = False,
    boundary: Annotated[bool, typer.Option("--boundary", help="Boundary PQ (of run --metrics boundary).")] = False,
    intervals: Annotated[bool, typer.Option("--intervals", help="95 % intervals over images.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="PQ under the rules of other evaluators.")] = False,
    results: Results = Path("results"),
    json_: Json = False,
) -> None:
    """Show the score or breakdowns of a run. Breakdowns are computed from its stored image lines."""
    from bench.results.run import find_run

    found = find_run(run, results)
    asked = {
        "errors": errors, "by_size": by_size, "thresholds": thresholds, "confusion": confusion,
        "boundary": boundary, "intervals": intervals, "rules": rules,
    }  # fmt: skip
    views = [view for view, wanted in asked.items() if wanted]
    if views:
        render.render_views(found, views, json_)
    else:
        render.render_run(found, json_, per_class)


def compare_command(
    runs: RunNames,
    per_class: Annotated[
        bool, typer.Option("--per-class", help=f"All classes, not the {CLASSES} that differ most.")
    ] = False,
    errors: Annotated[bool, typer.Option("--errors", help="Loss of PQ by type of error.")] = False,
    by_size: Annotated[bool, typer.Option("--by-size", help="PQ of small, medium and large segments.")] = False,
    by_group: Annotated[bool, typer.Option("--by-group", help="Resample cities or sequences, not images.")] = False,
    replicates: Annotated[int, typer.Option(min=100, help="Bootstrap replicates.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    results: Results = Path("results"),
    format_: Annotated[
        Literal["table", "md", "csv", "latex", "json"], typer.Option("--format", help="Output.")
    ] = "table",
    json_: Json = False,
) -> None:
    """Compare runs. Says which is better and by how much, with intervals; more than two give a matrix of wins."""
    from bench.analysis.comparison import compare
    from bench.analysis.paired_breakdown import VIEWS, compare_breakdown
    from bench.analysis.wins import wins
    from bench.errors import UsageError
    from bench.results.run import find_run, labels

    if len(runs) < 2:
        raise UsageError("one run: a comparison needs two or more; `bench show` explains one")
    asked = {"--per-class": per_class, "--errors": errors, "--by-size": by_size}
    if len(runs) > 2 and any(asked.values()):
        options = ", ".join(option for option, wanted in asked.items() if wanted)
        raise UsageError(f"{len(runs)} runs: {options} explains two; name two, or leave it out for the matrix of wins")
    found = [find_run(run, results) for run in runs]
    for run in found:
        render.print_warnings(run.score, str(run.folder))
    style = "json" if json_ else format_
    if len(found) > 2:
        matrix = wins(found, labels(found), replicates=replicates, seed=seed, by_group=by_group)
        render.render_comparison(matrix, style)
        return
    a, b = found
    pair = compare(a, b, replicates=replicates, seed=seed, by_group=by_group)
    views = [view for view, wanted in zip(VIEWS, (errors, by_size), strict=True) if wanted]
    breakdowns = [compare_breakdown(pair, a, b, view) for view in views]
    render.render_comparison(pair, style, breakdowns, None if per_class else 0 if views else CLASSES)


def leaderboard_command(
    dataset: Annotated[str | None, typer.Option(help="Only this data set, e.g. minicity:val.")] = None,
    results: Results = Path("results"),
    format_: Annotated[
        Literal["table", "md", "csv", "latex", "json"], typer.Option("--format", help="Output.")
    ] = "table",
    json_: Json = False,
    ranges: Annotated[bool, typer.Option(help="Rank ranges; reads the lines of all runs.")] = True,
    columns: Annotated[str | None, typer.Option(help="Columns of table, md and latex by name: '#,model,PQ'.")] = None,
    rule: Annotated[
        Literal["coco", "strict", "eomt", "torchmetrics", "torchmetrics-crowd"] | None,
        typer.Option(help="Rank by PQ under this rule; marks the ranks that another rule changes."),
    ] = None,
    write: Annotated[Path | None, typer.Option(help="Write to this file, between its markers if it has any.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if the file of --write is not current.")
    ] = False,
) -> None:
    """Rank complete runs. Runs share a table if they have the same ground truth and the same rules."""
    from bench.analysis.ranking import leaderboard
    from bench.analysis.rules import rule_boards
    from bench.errors import UsageError
    from bench.io.config import did_you_mean
    from bench.results.run import read_runs

    runs = read_runs(results)
    if rule is not None:
        if write or check or columns:
            raise UsageError("--rule prints a board of its own; leave out --write, --check and --columns")
        render.render_rule_boards(rule_boards(runs, rule, dataset), "json" if json_ else format_)
        return
    boards = leaderboard(runs, dataset, ranges)
    if dataset and not boards:
        known = sorted({run.dataset for run in runs})
        raise UsageError(f"{results}: no complete run on {dataset!r}; {did_you_mean(dataset, known)}")
    if check and write is None:
        raise UsageError("--check needs the file to check; give it by --write")
    for run in runs:
        if dataset in (None, run.dataset):
            render.print_warnings(run.score, str(run.folder))
    style = "json" if json_ else format_
    shown = _columns(columns)
    if write is None:
        render.render_boards(boards, style, shown)
    else:
        render.write_boards(write, boards, style, check, shown)


def _columns(text: str | None) -> list[str] | None:
    """Split --columns. Raises UsageError for a name that is no column."""
    if text is None:
        return None
    from bench.errors import UsageError
    from bench.io.config import did_you_mean
    from bench.reports.leaderboard import COLUMNS

    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in COLUMNS:
            raise UsageError(f"--columns: there is no column {name!r}; {did_you_mean(name, COLUMNS)}")
    return names


def choose_command(
    dataset: Annotated[str, typer.Option(help="Data set of the runs, e.g. minicity:val.")],
    max_ms: Annotated[float | None, typer.Option(min=0, help="Largest median latency of an image, ms.")] = None,
    max_gb: Annotated[float | None, typer.Option(min=0, help="Largest peak memory, GB.")] = None,
    licence: Annotated[
        Literal["commercial"] | None, typer.Option(help="Only weights whose licence allows commercial use.")
    ] = None,
    results: Results = Path("results"),
    format_: Annotated[Literal["table", "md", "json"], typer.Option("--format", help="Output.")] = "table",
    json_: Json = False,
) -> None:
    """Choose a model. Prints the front of PQ, latency and memory, and which run to take within the limits."""
    from bench.analysis.choice import choose
    from bench.io.config import load_yaml, shipped_configs
    from bench.models.catalog import commercial_refusal
    from bench.models.model_file import ModelFile
    from bench.results.records import ModelRecord
    from bench.results.run import read_runs

    files = {name: load_yaml(path, ModelFile) for name, path in shipped_configs("models").items()} if licence else {}

    def refused(run: Run) -> str:
        if not licence:
            return ""
        model = run.meta.model
        if not isinstance(model, ModelRecord):
            return "its licence is not known: its predictions were made elsewhere"
        return commercial_refusal(files, model.name, model.checkpoint)

    found = choose(read_runs(results), dataset, max_ms=max_ms, max_gb=max_gb, refused=refused)
    render.render_choice(found, "json" if json_ else format_)


def report_command(
    runs: RunNames,
    out: Annotated[Path | None, typer.Option(help="Folder for the files (default: <run>/report, report).")] = None,
    dataset: DatasetName = None,
    gt: Gt = None,
    gt_dir: GtDir = None,
    image_dir: Annotated[Path | None, typer.Option(help="Folder of the pictures, for --gt.")] = None,
    data_root: Root = None,
    gallery_mb: Annotated[float, typer.Option(min=0, help="Largest size of the gallery in MB.")] = 16,
    results: Results = Path("results"),
    json_: Json = False,
) -> None:
    """Write an HTML report on runs, with tables and figures. Prints the paths; the page needs no network."""
    from bench.reports.report import report
    from bench.results.run import find_run

    read = [find_run(run, results) for run in runs]
    data, why = _data_of(read[0], dataset, gt, gt_dir, data_root, image_dir)
    folder = out or (read[0].folder / "report" if len(read) == 1 else Path("report"))
    written = report(read, folder, data, gallery_mb=gallery_mb, why=why, notify=print_status)
    paths = [str(path) for path in written]
    print_json(paths) if json_ else print_text("\n".join(paths))


def _data_of(
    run: Run, dataset: str | None, gt: Path | None, gt_dir: Path | None, root: Path | None, pictures: Path | None
) -> tuple[Dataset | None, str]:
    """Return the data set of a run for its pictures, or None and the reason. Raises errors of data that were named."""
    from bench.datasets.registry import with_plain_pictures
    from bench.errors import BenchError

    try:
        data = open_truth(run, dataset, gt, gt_dir, root, pictures)
    except BenchError as error:
        # A report without pictures is still a report, unless the user named data for them.
        if dataset or gt or root:
            raise
        return None, f"{str(error).splitlines()[0].rstrip('.')}; give data that moved by --data-root, --dataset or --gt"
    if "gt" not in data.origin or pictures is not None:
        return data, ""
    print_status("the ground truth has no pictures: the gallery is drawn on grey; give their folder by --image-dir")
    return with_plain_pictures(data), ""


def datasets_command(json_: Json = False) -> None:
    """List the data sets. Shows their splits and the environment variables for their folders."""
    from bench.datasets.label_spaces import space_name
    from bench.datasets.registry import read_spec
    from bench.io.canonical_json import to_plain
    from bench.io.config import shipped_configs

    specs = {name: read_spec(path) for name, path in shipped_configs("datasets").items()}
    if json_:
        print_json({name: to_plain(spec) for name, spec in specs.items()})
        return
    rows = [
        [name, ", ".join(spec.splits), space_name(spec.labels), ", ".join(spec.roots) or "embedded", spec.title]
        for name, spec in specs.items()
    ]
    print_table("", ["data set", "splits", "labels", "root from", "what"], rows)


def doctor_command(json_: Json = False) -> None:
    """Print versions, machine, data folders and weights. Paste this into bug reports."""
    from bench.cli.doctor import examine

    found = examine()
    if json_:
        print_json(found)
        return
    from bench.cli.memory import memory_line

    texts = {key: memory_line(**value) if key.startswith("memory") else str(value) for key, value in found.items()}
    print_table("", ["item", "found"], [list(row) for row in texts.items()])
