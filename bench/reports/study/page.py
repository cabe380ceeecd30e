"""HTML page of a study, rendered from plain values by a Jinja template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from bench.__version__ import __version__
from bench.analysis import breakdown
from bench.analysis.comparison import notes
from bench.analysis.contrasts import BETTER, WORSE, Arm, Verdict
from bench.analysis.ranking import row_of
from bench.analysis.study import StudyOutcome
from bench.reports.page.page import TEMPLATES, write_rendered
from bench.reports.study.charts import SeedChart, contrast_charts, forest
from bench.reports.study.provenance import origins
from bench.reports.study.tables import (
    MEASURES,
    PRODUCT_NOTE,
    SHOWN,
    Transfer,
    about,
    product_table,
    quick_note,
    spread_text,
)
from bench.reports.views.classes import measures
from bench.reports.views.runs import RunView

OWN = Path(__file__).parent / "template"
BARS = ("PQ", "IoU_panoptic")


@dataclass(frozen=True, eq=False)
class PageParts:
    """Content of the page; `beside` lists files with the same content in its folder."""

    outcome: StudyOutcome
    scored: Sequence[Arm]
    verdicts: Sequence[Verdict]
    beyond: Sequence[Transfer]
    beside: Sequence[str]


@dataclass(frozen=True, eq=False)
class ContrastView:
    name: str
    arms: Sequence[Arm]
    verdicts: Sequence[Verdict]
    charts: Sequence[SeedChart]

    def dashes(self) -> list[tuple[int, str]]:
        """Return (seed, SVG dash pattern) pairs, sorted by seed."""
        drawn = {one.seed: one.dash for chart in self.charts for one in chart.curves}
        return sorted(drawn.items())


def write_study_page(parts: PageParts, path: Path) -> Path:
    return write_rendered(path, "study.html", page_values(parts), [OWN])


def page_values(parts: PageParts) -> dict[str, Any]:
    """Return the variables of the template. Only the shipped CSS is not escaped."""
    outcome, scored = parts.outcome, parts.scored
    base = base_views(scored)
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
        "forest": forest(parts.verdicts),
        "views": contrast_views(parts),
        "said": parts.verdicts,
        "changed": {t.name: as_written(t.set) for t in outcome.study.trainings},
        "recipes": {t.name: t.recipe for t in outcome.study.trainings},
        "spread": spread_text,
        "lit": (BETTER, WORSE),
        "caveats": image_notes(scored),
        "trap": PRODUCT_NOTE,
        "trap_table": product_table(scored),
        "base": base,
        "measures": [one for one in measures(base) if one.name in BARS] if base else [],
        "transfers": parts.beyond,
        "transfer_measures": list(MEASURES),
        "origins": origins(scored),
        "beside": parts.beside,
    }


def as_written(changes: Mapping[str, Any]) -> str:
    """Return recipe values as one line of YAML."""
    text = yaml.safe_dump(dict(changes), default_flow_style=True, sort_keys=False, width=float("inf"))
    return text.strip().removeprefix("{").removesuffix("}")


def contrast_views(parts: PageParts) -> list[ContrastView]:
    """Return the contrasts with at least one scored arm, in the study's order."""
    known = {arm.name: arm for arm in parts.scored}
    found = []
    for contrast in parts.outcome.study.contrasts:
        arms = [known[name] for name in contrast.arms if name in known]
        said = [one for one in parts.verdicts if one.contrast == contrast.name]
        if arms:
            found.append(ContrastView(contrast.name, arms, said, contrast_charts(arms)))
    return found


def image_notes(scored: Sequence[Arm]) -> tuple[str, ...]:
    if not scored:
        return ()
    groups = {line.get("group") for line in scored[0].runs[0].lines()}
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
