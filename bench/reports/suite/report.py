"""Files of the report of a suite: an HTML page, and the same content as Markdown, JSON and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bench.__version__ import __version__
from bench.analysis.suite import Outcome
from bench.io.files import write_json
from bench.reports.figures.plot import Plot
from bench.reports.page.page import TEMPLATES, write_rendered
from bench.reports.tables import Table, to_markdown_table

OWN = Path(__file__).parent / "template"


@dataclass(frozen=True)
class Picture:
    """A picture of a page as a data URI, with its caption."""

    caption: str
    uri: str


@dataclass(frozen=True, eq=False)
class SuiteReport:
    """Result of a suite. `tables` are shown on the terminal, `details` in the files only.

    `result` is what --json prints, and suite.json holds.
    """

    title: str
    about: str
    sentences: Sequence[str]
    tables: Sequence[Table]
    details: Sequence[Table]
    notes: Sequence[str]
    plots: Sequence[Plot]
    pictures: Sequence[Picture]
    result: Mapping[str, Any]
    paths: list[Path]

    def to_json(self) -> dict[str, Any]:
        return {**self.result, "sentences": list(self.sentences), "files": [str(path) for path in self.paths]}


TEXT = ("class", "worst", "run", "settings", "where")


def write_report(made: SuiteReport, outcomes: Sequence[Outcome], folder: Path) -> SuiteReport:
    """Write index.html, suite.md, suite.json and figures/ into a folder; return the report with their paths."""
    failed = [f"{o.planned.name}: {' '.join(str(o.error).split())}" for o in outcomes if o.error is not None]
    css = [(TEMPLATES / "page.css").read_text(encoding="utf-8"), (OWN / "suite.css").read_text(encoding="utf-8")]
    values = {
        "made": made, "failed": failed, "runs": runs_table(outcomes), "text": TEXT, "css": Markup("\n".join(css)),
        "version": __version__,
    }  # fmt: skip
    paths = [write_rendered(folder / "index.html", "suite.html", values, [OWN]), folder / "suite.md"]
    paths[1].write_text(_markdown(made, failed), encoding="utf-8", newline="\n")
    paths += [plot.save(folder / "figures" / f"{plot.name}.svg") for plot in made.plots]
    made.paths.extend([*paths, folder / "suite.json"])
    write_json(folder / "suite.json", made.to_json())
    return made


def runs_table(outcomes: Sequence[Outcome]) -> Table:
    """Return where each run is."""
    rows = tuple((o.planned.name, str(o.run.folder) if o.run else "failed") for o in outcomes)
    return Table("Runs", ("run", "where"), rows)


def _markdown(made: SuiteReport, failed: Sequence[str]) -> str:
    def section(table: Table) -> str:
        text = {table.columns[0], *(name for name in TEXT if name in table.columns)}
        return f"## {table.title}\n\n{to_markdown_table(table, text)}"

    parts = [f"# {made.title}\n\n{made.about}\n", *(f"{one}\n" for one in made.sentences)]
    parts += [section(table) for table in (*made.tables, *made.details)]
    return "\n".join([*parts, *(f"{note}\n" for note in made.notes), *(f"- failed: {one}" for one in failed)])
