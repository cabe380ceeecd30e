"""Report on one or several runs: an HTML page, and the same content as tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from bench.analysis.comparison import Comparison, require_comparable
from bench.analysis.ranking import to_frame
from bench.analysis.wins import Wins
from bench.datasets.dataset import Dataset
from bench.errors import UsageError
from bench.metrics.bootstrap import Estimate
from bench.metrics.score import HEADLINE
from bench.reports.breakdown_tables import breakdown_tables
from bench.reports.comparison_tables import difference_tables
from bench.reports.figures.bars import class_bars
from bench.reports.figures.plot import PALETTE
from bench.reports.figures.summary import plots
from bench.reports.leaderboard import records_to_csv
from bench.reports.page.gallery import CAP_MB, gallery, missing
from bench.reports.page.page import write_page
from bench.reports.pictures.overlays import overlays, side_by_side
from bench.reports.tables import (
    Table,
    class_table,
    gigas,
    headline,
    intervals,
    millions,
    percent,
    semantic_table,
    to_latex_tables,
    to_markdown_table,
)
from bench.reports.timing import timing_lines, timing_table
from bench.reports.views.label_maps import MapView, map_views
from bench.reports.views.runs import RunView, differences, run_views
from bench.results.predictions import safe_file_stem
from bench.results.run import Run
from bench.results.timing import Timing

PAGE = "index.html"
COSTS = ("params (M)", "multiply-adds (G)")


def report(
    runs: Sequence[Run],
    out: Path,
    dataset: Dataset | None = None,
    *,
    gallery_mb: float = CAP_MB,
    why: str = "",
    notify: Callable[[str], object] = lambda note: None,
) -> list[Path]:
    """Write a report below `out` and return the paths, the page index.html first.

    The other files are tables (md, csv, tex), figures (png, svg) and overlays/. Raises NotComparable unless all runs
    were scored on the same ground truth by the same rules. Pictures need the data set and runs with saved predictions;
    without them the rest is written, and the page and `notify` give the reason `why` and the remedy.
    """
    if not 1 <= len(runs) <= len(PALETTE):
        raise UsageError(f"a report takes 1 to {len(PALETTE)} runs, not {len(runs)}")
    require_comparable(*runs)
    out.mkdir(parents=True, exist_ok=True)
    views = run_views(runs)
    paired = differences(views)
    drawn = plots(views)
    figures = [*class_bars(views), *drawn]
    paths = [plot.save(out / f"{plot.name}.{suffix}") for suffix in ("png", "svg") for plot in figures]
    paths += _tables(views, paired, out)
    pictures = _overlays(views, out, dataset)
    paths.append(_markdown(views, paired, out / "report.md", [p for p in (*paths, *pictures) if p.suffix == ".png"]))
    shown = gallery(views, dataset, gallery_mb, why)
    for note in shown.notes:
        notify(note)
    page = write_page(views, drawn, shown, out / PAGE, [path.relative_to(out).as_posix() for path in paths], paired)
    return [page, *paths, *pictures]


def _tables(views: Sequence[RunView], paired: Comparison | Wins | None, out: Path) -> Iterator[Path]:
    """Write headline and class tables. CSV holds unrounded fractions, empty if undefined; LaTeX holds percent."""
    lead = to_frame([view.run for view in views]).assign(run=[view.label for view in views])
    lead = lead.rename(columns={name.replace(" ", "_"): name for name in HEADLINE})
    lead = lead[["run", *HEADLINE, "parameters", "multiply_adds"]]
    yield _write(out / "headline.csv", lead.to_csv(index=False, lineterminator="\n"))
    classes = [view.run.to_frame() for view in views]
    for view, frame in zip(views, classes, strict=True):
        frame.insert(0, "run", view.label)
    texts = [frame.to_csv(index=False, header=k == 0, lineterminator="\n") for k, frame in enumerate(classes)]
    yield _write(out / "classes.csv", "".join(texts))
    tables = {"headline": [headline_table(views)], "classes": [classes_table(views)]}
    if paired is not None:
        tables["differences"] = difference_tables(paired)
        records = paired.records()
        yield _write(out / "differences.csv", records_to_csv(records, list(records[0])))
    for name, some in tables.items():
        yield _write(out / f"{name}.tex", to_latex_tables(some, name))


def headline_table(views: Sequence[RunView]) -> Table:
    heads = [view.headline() for view in views]
    columns = [
        intervals([Estimate(value, *(ends or (None, None))) for value, ends in (head[name] for head in heads)])
        for name in HEADLINE
    ]
    costs = [millions(view.row["parameters"]) for view in views], gigas([view.row["multiply_adds"] for view in views])
    return Table(
        f"{views[0].run.dataset}, {views[0].score.images} images, percent with 95 % intervals",
        ("run", *HEADLINE, *COSTS),
        tuple(zip((view.label for view in views), *columns, *costs, strict=True)),
        highest=tuple(HEADLINE),
        lowest=COSTS,
    )


def classes_table(views: Sequence[RunView]) -> Table:
    rows = zip(*(view.score.per_class for view in views), strict=True)
    cells = tuple((row[0].name, *(percent(one.PQ) for one in row)) for row in rows)
    title, names = f"PQ of each class on {views[0].run.dataset}, percent", tuple(view.label for view in views)
    return Table(title, ("class", *names), cells, highest=names, by_row=True)


def _overlays(views: Sequence[RunView], out: Path, dataset: Dataset | None) -> list[Path]:
    """Write overlays of every run with saved predictions, in one folder per run and side by side if several."""
    if dataset is None or "panoptic" not in dataset.carries:
        return []
    kept = [view for view in views if not missing(view)]
    together = []
    if len(kept) > 1:
        runs, labels = [view.run for view in kept], [view.label for view in kept]
        together.append(side_by_side(runs, labels, dataset, out / "overlays" / "side-by-side.png"))
    return together + [
        path
        for view in kept
        for path in overlays(
            view.run, dataset, out / "overlays" / (safe_file_stem(view.label) if len(views) > 1 else "")
        )
    ]


def _markdown(views: Sequence[RunView], paired: Comparison | Wins | None, path: Path, pictures: Iterable[Path]) -> Path:
    tables = [headline_table(views)] if len(views) > 1 else []
    tables += difference_tables(paired) if paired is not None else []
    said = [*(f"- {sentence}" for sentence in paired.sentences), ""] if paired is not None else []
    for view in views:
        tables += [headline(view.label, view.run.dataset, view.score), semantic_table(view.score)]
        tables += [class_table(view.score), *breakdown_tables(view.views)]
    timings = [_timing(view.label, view.timing) for view in views if view.timing]
    maps = [_map(one) for one in map_views(views)]
    links = [f"![{picture.stem}]({picture.relative_to(path.parent).as_posix()})\n" for picture in pictures]
    return _write(path, "\n".join([*said, *(_section(table) for table in tables), *timings, *maps, *links]))


def _timing(label: str, timing: Timing) -> str:
    return f"{_section(timing_table(timing, label))}\n" + "".join(f"- {line}\n" for line in timing_lines(timing))


def _map(one: MapView) -> str:
    missing = [f"{one.missing} Measure it by: `{one.remedy}`"] if one.missing else []
    return f"{_section(one.table(), ('class', 'made of'))}\n{' '.join([*one.sentences, *missing])}\n"


def _section(table: Table, text: Collection[str] = ()) -> str:
    return f"## {table.title}\n\n{to_markdown_table(table.without_empty(), text)}"


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
