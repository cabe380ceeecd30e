"""bench data check, bench data stats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.output import print_json, print_table, print_text, progress, say
from bench.cli.run import Json, Limit, Root, Workers, open_data

SEVERITIES = ("error", "warning", "note")


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command("check")(check_command)
    app.command("stats")(stats_command)


def check_command(
    dataset: Annotated[str | None, typer.Argument(help="Data set, with :split, or a YAML file.")] = None,
    gt: Annotated[Path | None, typer.Option(help="Instead: ground truth, COCO panoptic JSON.")] = None,
    gt_dir: Annotated[Path | None, typer.Option(help="Its PNGs (default: the JSON's name).")] = None,
    data_root: Root = None,
    limit: Limit = None,
    workers: Workers = 2,
    json_: Json = False,
) -> None:
    """Find every fault of a data set; exit code 3 where there is an error."""
    from bench.check.check import check_dataset, check_files
    from bench.check.walk import Walk
    from bench.errors import UsageError

    if (dataset is None) == (gt is None):
        raise UsageError("give a data set, or --gt")
    with progress("checking") as on_image:
        walk = Walk(limit, workers, on_image)
        report = check_files(gt, gt_dir or gt.with_suffix(""), walk) if gt else None
        report = report or check_dataset(str(dataset), data_root, walk)
    print_json(report.to_json()) if json_ else _show(report)
    raise typer.Exit(3 if report.count("error") else 0)


def _show(report: Any) -> None:
    """A row a finding, and how many there are."""
    columns = ["severity", "fault", "image", "px", "what", "file", "remedy"]
    rows = [
        [str(value if value is not None else "–") for value in (
            row["severity"], row["fault"], row["image_id"], row["pixels"], row["what"], row["file"], row["remedy"]
        )]
        for row in (finding.to_json() for finding in report.findings)
    ]  # fmt: skip
    if rows:
        print_table("", columns, rows)
    counts = ", ".join(f"{(n := report.count(kind))} {kind}{'' if n == 1 else 's'}" for kind in SEVERITIES)
    print_text(f"{report.dataset}: {report.images} images checked: {counts}")


def stats_command(
    dataset: Annotated[str, typer.Argument(help="Data set, with :split, or a YAML file.")],
    out: Annotated[Path | None, typer.Option(help="Draw the class histogram into this PNG.")] = None,
    data_root: Root = None,
    limit: Limit = None,
    workers: Workers = 2,
    json_: Json = False,
) -> None:
    """Count images, segments and pixels, in all and of every class."""
    from bench.stats import dataset_stats

    data = open_data(dataset, data_root, limit, None)
    with progress("counting") as on_image:
        stats = dataset_stats(data, workers=workers, on_image=on_image)
    print_json(stats.to_json()) if json_ else _show_stats(stats)
    if out is not None:
        from bench.report.class_histogram import class_histogram

        say(f"class histogram: {class_histogram(stats, out)}")


def _show_stats(stats: Any) -> None:
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
