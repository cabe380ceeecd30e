"""Commands `bench data make`, `damage`, `map`, `check` and `stats`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli import render
from bench.cli.console import print_json, print_status, print_table, print_text
from bench.cli.progress import progress
from bench.cli.run import Json, Limit, MaxPixels, Root, Workers, open_data
from bench.cli.stored import Gt, GtDir, Results
from bench.parallel import WORKERS

if TYPE_CHECKING:
    from bench.datasets.check import CheckReport
    from bench.datasets.statistics import DatasetStats

SEVERITIES: tuple[Literal["error", "warning", "note"], ...] = ("error", "warning", "note")
EXAMPLES = 3  # shown of each kind of finding


def check_command(
    dataset: Annotated[str | None, typer.Argument(help="Data set, with :split, or a YAML file.")] = None,
    gt: Gt = None,
    gt_dir: GtDir = None,
    data_root: Root = None,
    limit: Limit = None,
    workers: Workers = WORKERS,
    max_pixels: MaxPixels = None,
    all_: Annotated[bool, typer.Option("--all", help="One row per finding instead of per kind.")] = False,
    json_: Json = False,
) -> None:
    """Check a data set for faults. Exit code 3 if there are errors."""
    from bench.datasets.check import CheckOptions, check_dataset, check_files
    from bench.errors import UsageError

    if (dataset is None) == (gt is None):
        raise UsageError("give either a data set or --gt")
    with progress("checking") as on_image:
        walk = CheckOptions(limit, workers, on_image)
        report = check_files(gt, gt_dir or gt.with_suffix(""), walk) if gt else None
        report = report or check_dataset(str(dataset), data_root, walk)
    print_json(report.to_json()) if json_ else _show(report, all_)
    raise typer.Exit(3 if report.count("error") else 0)


def _show(report: CheckReport, every: bool) -> None:
    """Print a row for each kind of finding with three examples, or with `every` a row for each finding."""
    findings = [finding.to_json() for finding in report.findings]
    if every:
        columns = ["severity", "fault", "image_id", "pixels", "what", "file", "remedy"]
        rows = [[str(one[key] if one[key] is not None else "–") for key in columns] for one in findings]
    else:
        columns = ["severity", "fault", "findings", "examples", "remedy"]
        rows = [
            [ones[0]["severity"], fault, str(len(ones)), "\n".join(map(_example, ones[:EXAMPLES])), ones[0]["remedy"]]
            for fault, ones in _by_fault(findings).items()
        ]
    if rows:
        print_table("", columns, rows)
    if len(rows) < len(findings):
        print_text("--all shows every finding, --json all of their details")
    counts = ", ".join(f"{(n := report.count(kind))} {kind}{'' if n == 1 else 's'}" for kind in SEVERITIES)
    print_text(f"{report.dataset}: {report.images} images checked: {counts}")


def _by_fault(findings: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in findings:
        found.setdefault(finding["fault"], []).append(finding)
    return found


def _example(finding: dict[str, Any]) -> str:
    """Return image, file and what is wrong; the file only if that does not name it."""
    file = Path(finding["file"] or "").name
    places = [finding["image_id"] or "", file if file not in finding["what"] else ""]
    return ": ".join([", ".join(filter(None, places)), finding["what"]]).removeprefix(": ")


def stats_command(
    dataset: Annotated[str, typer.Argument(help="Data set, with :split, or a YAML file.")],
    out: Annotated[Path | None, typer.Option(help="Write the class histogram to this PNG.")] = None,
    data_root: Root = None,
    limit: Limit = None,
    workers: Workers = WORKERS,
    max_pixels: MaxPixels = None,
    json_: Json = False,
) -> None:
    """Count images, segments and pixels, in total and per class."""
    from bench.datasets.statistics import dataset_stats

    data = open_data(dataset, data_root, limit, None)
    with progress("counting") as on_image:
        stats = dataset_stats(data, workers=workers, on_image=on_image)
    print_json(stats.to_json()) if json_ else _show_stats(stats)
    if out is not None:
        from bench.reports.figures import class_histogram

        print_status(f"class histogram: {class_histogram(stats).save(out)}")


def _show_stats(stats: DatasetStats) -> None:
    spread = stats.segments_per_image or {}
    share = stats.void_pixels / stats.pixels if stats.pixels else 0.0
    small = "–" if stats.small_share is None else f"{100 * stats.small_share:.1f}% below 32 x 32 px"
    sizes = ", ".join(f"{size} ({count})" for size, count in list(stats.sizes.items())[:4])
    print_text(f"{stats.dataset}: {stats.images} images of {sizes}{', …' if len(stats.sizes) > 4 else ''} px (H x W)")
    if stats.segments is not None:
        numbers = ", ".join(f"{name} {value:g}" for name, value in spread.items())
        print_text(f"{stats.segments} segments, {small}; {stats.crowds} crowd regions; segments an image: {numbers}")
    print_text(f"void: {100 * share:.2f}% of pixels")
    counted = [
        [row.name, "thing" if row.isthing else "stuff", str(row.images), _count(row.segments), _count(row.crowds),
         f"{row.pixels}", f"{100 * row.pixels / stats.pixels if stats.pixels else 0:.3f}"]
        for row in stats.per_class
    ]  # fmt: skip
    print_table("", ["class", "kind", "images", "segments", "crowds", "pixels", "% of pixels"], counted)


def _count(value: int | None) -> str:
    return "–" if value is None else str(value)


Rate = Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Probability per segment.")]


def register(app: typer.Typer) -> None:
    data = typer.Typer(help="Generate, damage and inspect data sets.", no_args_is_help=True, rich_markup_mode=None)
    data.command("make")(make_command)
    data.command("damage")(damage_command)
    data.command("map", context_settings={"token_normalize_func": lambda token: {"keep": "record"}.get(token, token)})(
        map_command
    )
    data.command("check")(check_command)
    data.command("stats")(stats_command)
    app.add_typer(data, name="data")


def make_command(
    name: Annotated[str, typer.Argument(help="Embedded data set; with :split only this split.")] = "minicity",
    data_root: Root = None,
) -> None:
    """Generate an embedded data set into the cache. This also happens on first use."""
    from bench.datasets.registry import read_spec
    from bench.io.config import find_config

    splits = [name] if ":" in name else [f"{name}:{s}" for s in read_spec(find_config("datasets", name)).splits]
    for split in splits:
        data = open_data(split, data_root, None, None)
        print_text(f"{data.name}:{data.split}: {len(data.samples)} images")


def damage_command(
    dataset: Annotated[str, typer.Argument(help="Data set, with :split.")],
    out: Annotated[Path, typer.Option(help="Folder for the predictions.")],
    seed: Annotated[int, typer.Option(help="Seed of the random errors.")] = 0,
    drop: Rate = None,
    split: Rate = None,
    merge: Rate = None,
    relabel: Rate = None,
    void: Rate = None,
    jitter: Annotated[int | None, typer.Option(min=0, help="Maximum shift of a mask in pixels.")] = None,
    data_root: Root = None,
    limit: Limit = None,
) -> None:
    """Write the truth with random errors as predictions. They test an evaluation or set an upper bound."""
    from dataclasses import replace

    from bench.evaluation.damage import Damage, damage_dataset

    data = open_data(dataset, data_root, limit, None)
    given = {"drop": drop, "split": split, "merge": merge, "relabel": relabel, "void": void, "jitter": jitter}
    faults = replace(Damage(), **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    with progress("damaging") as on_image:
        print_text(str(damage_dataset(data, out, seed=seed, faults=faults, on_image=on_image)))


def map_command(
    name: Annotated[str, typer.Argument(help="Data set whose labels are mapped from another's, with :split.")],
    data_root: Root = None,
    limit: Limit = None,
    record: Annotated[str | None, typer.Option(help="Also store the audit in this run, for its report.")] = None,
    results: Results = Path("results"),
    json_: Json = False,
) -> None:
    """Audit a label map. Prints covered pixels, unreachable classes, the best possible score, and its sha256."""
    from bench.analysis.label_map_audit import audit_map, require_same_truth, write_audit
    from bench.datasets.registry import load_base
    from bench.results.run import find_run

    data, run = open_data(name, data_root, limit, None), find_run(record, results) if record else None
    if run is not None:
        require_same_truth(run, data)
    # After the check of the run: reading all ground truth takes minutes.
    base = load_base(data, data_root)
    with progress("reading the truth") as on_image:
        audit = audit_map(data, base, on_image=on_image)
    if run is not None:
        print_status(f"kept: {write_audit(audit.to_json(), run)}")
    render.render_map(audit, json_)
