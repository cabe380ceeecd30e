"""Report of a study: an HTML page, and the same content as Markdown and CSV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis.contrasts import Arm, Verdict, arms, verdicts
from bench.analysis.study import StudyOutcome
from bench.reports.figures.summary import forest
from bench.reports.study.page import PageParts, contrast_views, write_study_page
from bench.reports.study.tables import (
    PRODUCT_NOTE,
    Transfer,
    about,
    arms_table,
    contrasts_table,
    product_table,
    quick_note,
    seed_rows,
    transfer_table,
    transfers,
)
from bench.reports.tables import Table, to_markdown_table

PAGE, MARKDOWN = "index.html", "study.md"


@dataclass(frozen=True, eq=False)
class StudyReport:
    """Results of a study, and the paths of the written files, the page first."""

    outcome: StudyOutcome
    scored: list[Arm]
    verdicts: list[Verdict]
    beyond: list[Transfer]
    paths: list[Path]

    @property
    def tables(self) -> list[Table]:
        title = about(self.outcome, self.scored)
        shown = [arms_table(self.scored, title), contrasts_table(self.verdicts), product_table(self.scored)]
        return [table for table in (*shown, transfer_table(self.beyond)) if table.rows]

    def to_json(self) -> dict[str, Any]:
        """Return the results with fractions; `trainings` has one row per seed."""
        return {
            "title": self.outcome.study.title,
            "quick": self.outcome.quick,
            "trainings": seed_rows(self.scored),
            "contrasts": [one.to_json() for one in self.verdicts],
            "errors": [str(error) for error in self.outcome.errors()],
            "files": [str(path) for path in self.paths],
        }


def study_report(outcome: StudyOutcome) -> StudyReport:
    """Write the report to the study's folder.

    That is index.html, study.md, trainings.csv, the plots of the page in figures/ and, if there are contrasts,
    contrasts.csv.
    """
    scored = arms(outcome)
    said, beyond, out = verdicts(outcome, scored), transfers(outcome), outcome.folder
    names = [PAGE, MARKDOWN, "trainings.csv", *(["contrasts.csv"] if said else [])]
    views, differences = contrast_views(outcome, scored, said), forest(said) if said else None
    plots = [*([differences] if differences else []), *(plot for view in views for plot in view.plots)]
    figures = [plot.save(out / "figures" / f"{plot.name}.svg") for plot in plots]
    made = StudyReport(outcome, scored, said, beyond, [*(out / name for name in names), *figures])
    write_study_page(PageParts(outcome, scored, said, differences, views, beyond, names[1:]), out / PAGE)
    (out / MARKDOWN).write_text(_markdown(made), encoding="utf-8", newline="\n")
    rows = {"trainings.csv": seed_rows(scored), "contrasts.csv": [one.to_json() for one in said]}
    for name in names[2:]:
        pd.DataFrame(rows[name]).to_csv(out / name, index=False, lineterminator="\n")
    return made


def _markdown(made: StudyReport) -> str:
    """Return the Markdown report. Failures are listed, since they explain gaps in the tables."""
    text = {"contrast", "training", "arms", "verdict", "because", "by", "space", ""}
    note = [f"**{quick_note(made.outcome)}**\n"] if made.outcome.quick else []
    failed = [f"- failed: {' '.join(str(error).split())}" for error in made.outcome.errors()]
    tables = [f"## {table.title}\n\n{to_markdown_table(table, text)}" for table in made.tables]
    parts = [f"# {made.outcome.study.title}\n", *note, *(f"{said}\n" for said in made.outcome.study.notes), *tables]
    return "\n".join([*parts, f"{PRODUCT_NOTE}\n", *failed]) + "\n"
