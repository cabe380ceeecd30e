"""The files of a report: a run's class-wise bars, its tables, and pictures where there is something to show."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.datasets.dataset import Dataset
from bench.report.figures import class_bars
from bench.report.frame import class_frame
from bench.report.overlays import overlays
from bench.report.tables import Table, class_table, headline, semantic_table, to_markdown_table
from bench.results import Run


def report(run: Run, out: Path, dataset: Dataset | None = None) -> list[Path]:
    """classes.png, classes.csv, report.md and overlays/ below `out`; returns their paths.

    Overlays need the data set and a run that kept its predictions; without, the rest is written.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = [class_bars([run], out / "classes.png"), _csv(run, out / "classes.csv")]
    kept = (run.folder / "predictions" / "predictions.json").is_file()
    if dataset is not None and "panoptic" in dataset.carries and kept:
        paths += overlays(run, dataset, out / "overlays")
    return [*paths, _markdown(run, out / "report.md", [path for path in paths if path.suffix == ".png"])]


def _csv(run: Run, path: Path) -> Path:
    """Fractions with all their digits, empty where undefined."""
    class_frame(run.score).to_csv(path, index=False, lineterminator="\n")
    return path


def _markdown(run: Run, path: Path, pictures: Iterable[Path]) -> Path:
    tables = (headline(run.name, run.dataset, run.score), semantic_table(run.score), class_table(run.score))
    links = [f"![{picture.stem}]({picture.relative_to(path.parent).as_posix()})\n" for picture in pictures]
    text = "\n".join([*(_section(table) for table in tables), *links])
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def _section(table: Table) -> str:
    return f"## {table.title}\n\n{to_markdown_table(table)}"
