"""Report of a study: an HTML page, and the same content as Markdown, CSV and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup

from bench.__version__ import __version__
from bench.analysis import breakdown
from bench.analysis.comparison import notes
from bench.analysis.contrasts import BETTER, WORSE, Arm, Verdict, arms, verdicts
from bench.analysis.ranking import row_of
from bench.analysis.study import StudyOutcome
from bench.reports.figures.plot import Plot
from bench.reports.figures.summary import forest, training_curves
from bench.reports.page.page import TEMPLATES, write_rendered
from bench.reports.study.tables import (
    MEASURES,
    PRODUCT_NOTE,
    SHOWN,
    Transfer,
    about,
    arms_table,
    contrasts_table,
    product_table,
    quick_note,
    seed_rows,
    spread_text,
    transfer_table,
    transfers,
)
from bench.reports.tables import Table, to_markdown_table
from bench.reports.views.classes import measures
from bench.reports.views.provenance import seed_provenance
from bench.reports.views.runs import RunView
from bench.reports.views.training import seed_charts

PAGE, MARKDOWN = "index.html", "study.md"
OWN = Path(__file__).parent / "template"
BARS = ("PQ", "IoU_panoptic")


@dataclass(frozen=True, eq=False)
class ContrastView:
    """A contrast with its scored arms and their training curves."""

    name: str
    arms: Sequence[Arm]
    verdicts: Sequence[Verdict]
    plots: Sequence[Plot]


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
    scored, out = arms(outcome), outcome.folder
    said = verdicts(outcome, scored)
    views, differences = contrast_views(outcome, scored, said), forest(said) if said else None
    plots = [*([differences] if differences else []), *(plot for view in views for plot in view.plots)]
    names = [PAGE, MARKDOWN, "trainings.csv", *(["contrasts.csv"] if said else [])]
    names += [f"figures/{plot.name}.svg" for plot in plots]
    made = StudyReport(outcome, scored, said, transfers(outcome), [out / name for name in names])
    write_rendered(out / PAGE, "study.html", page_values(made, views, differences), [OWN])
    (out / MARKDOWN).write_text(_markdown(made), encoding="utf-8", newline="\n")
    pd.DataFrame(seed_rows(scored)).to_csv(out / "trainings.csv", index=False, lineterminator="\n")
    if said:
        rows = [one.to_json() for one in said]
        pd.DataFrame(rows).to_csv(out / "contrasts.csv", index=False, lineterminator="\n")
    for plot in plots:
        plot.save(out / "figures" / f"{plot.name}.svg")
    return made


def _markdown(made: StudyReport) -> str:
    """Return the Markdown report. Failures are listed, since they explain gaps in the tables."""
    text = {"contrast", "training", "arms", "verdict", "because", "by", "space", ""}
    note = [f"**{quick_note(made.outcome)}**\n"] if made.outcome.quick else []
    failed = [f"- failed: {' '.join(str(error).split())}" for error in made.outcome.errors()]
    tables = [f"## {table.title}\n\n{to_markdown_table(table, text)}" for table in made.tables]
    parts = [f"# {made.outcome.study.title}\n", *note, *(f"{said}\n" for said in made.outcome.study.notes), *tables]
    return "\n".join([*parts, f"{PRODUCT_NOTE}\n", *failed]) + "\n"


def page_values(made: StudyReport, views: Sequence[ContrastView], differences: Plot | None) -> dict[str, Any]:
    """Return the variables of the template. Only the shipped CSS and the plots are not escaped."""
    outcome, scored = made.outcome, made.scored
    base = base_views(scored)
    # The page of a study is the page of a report with some rules of its own.
    css = [(TEMPLATES / "page.css").read_text(encoding="utf-8"), (OWN / "study.css").read_text(encoding="utf-8")]
    return {
        "title": outcome.study.title,
        "about": about(outcome, scored),
        "quick": quick_note(outcome) if outcome.quick else "",
        "notes": outcome.study.notes,
        "failed": [str(error) for error in outcome.errors()],
        "css": Markup("\n".join(css)),
        "version": __version__,
        "shown": SHOWN,
        "arms": scored,
        "by_name": {arm.name: arm for arm in scored},
        "forest": differences,
        "views": views,
        "said": made.verdicts,
        "changed": {t.name: as_written(t.set) for t in outcome.study.trainings},
        "recipes": {t.name: t.recipe for t in outcome.study.trainings},
        "spread": spread_text,
        "lit": (BETTER, WORSE),
        "caveats": image_notes(scored),
        "trap": PRODUCT_NOTE,
        "trap_table": product_table(scored),
        "base": base,
        "measures": [one for one in measures(base) if one.name in BARS] if base else [],
        "transfers": made.beyond,
        "transfer_measures": list(MEASURES),
        "origins": seed_provenance(scored),
        "beside": [path.name for path in made.paths if path.suffix in (".md", ".csv")],
    }


def as_written(changes: Mapping[str, Any]) -> str:
    """Return recipe values as one line of YAML."""
    text = yaml.safe_dump(dict(changes), default_flow_style=True, sort_keys=False, width=float("inf"))
    return text.strip().removeprefix("{").removesuffix("}")


def contrast_views(outcome: StudyOutcome, scored: Sequence[Arm], verdicts: Sequence[Verdict]) -> list[ContrastView]:
    """Return the contrasts with at least one scored arm, in the study's order."""
    known = {arm.name: arm for arm in scored}
    found = []
    for k, contrast in enumerate(outcome.study.contrasts, start=1):
        arms = [known[name] for name in contrast.arms if name in known]
        said = [one for one in verdicts if one.contrast == contrast.name]
        if arms:
            plots = [training_curves(chart, f"curves-{k}-{chart.name}") for chart in seed_charts(arms)]
            found.append(ContrastView(contrast.name, arms, said, plots))
    return found


def image_notes(scored: Sequence[Arm]) -> tuple[str, ...]:
    if not scored:
        return ()
    groups = set(scored[0].runs[0].stored.columns.groups)
    return notes(scored[0].runs[0].score.images, len(groups), False)


def base_views(scored: Sequence[Arm]) -> list[RunView]:
    """Return the seeds of the first training, for the class-wise results."""
    return [
        RunView(
            run, k, f"{arm.name}, seed {seed}", row_of(run), {"intervals": breakdown.breakdown(run, "intervals")}, None
        )
        for arm in scored[:1]
        for k, (seed, run) in enumerate(zip(arm.seeds, arm.runs, strict=True))
    ]
