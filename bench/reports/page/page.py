"""HTML page of a report, rendered from plain values by a Jinja template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.__version__ import __version__
from bench.analysis.comparison import Comparison
from bench.analysis.ranking import comparability_key
from bench.analysis.wins import Wins
from bench.io.files import write_atomic
from bench.metrics.error_map import Error
from bench.metrics.errors import ERROR_TYPES
from bench.metrics.score import HEADLINE
from bench.reports.comparison_tables import difference_tables
from bench.reports.figures.plot import Plot
from bench.reports.figures.summary import class_errors_name
from bench.reports.page.gallery import Gallery
from bench.reports.pictures.colors import ERROR_COLORS
from bench.reports.pictures.overlays import ERROR_NAMES
from bench.reports.tables import Table, gigas, millions, percent, warnings_on
from bench.reports.timing import latency, timing_lines, timing_table
from bench.reports.views.classes import measures
from bench.reports.views.cost import scatters
from bench.reports.views.errors import confusions, sizes
from bench.reports.views.label_maps import map_views
from bench.reports.views.provenance import provenance_rows
from bench.reports.views.runs import RunView, advice

TEMPLATES = Path(__file__).parent / "template"
SCRIPTS = ("classes.js", "pictures.js", "gallery.js")
SECTIONS = {
    "headline": "Headline", "differences": "Differences", "classes": "Classes", "heat": "Heat map",
    "errors": "Errors", "sizes": "PQ by size", "confusion": "Confusion", "cost": "Accuracy and cost",
    "training": "Training", "gallery": "Gallery", "labels": "Label maps", "provenance": "Provenance",
}  # fmt: skip


def write_page(
    views: Sequence[RunView],
    plots: Sequence[Plot],
    gallery: Gallery,
    path: Path,
    beside: Sequence[str] = (),
    paired: Comparison | Wins | None = None,
) -> Path:
    """Write one self-contained HTML file; `beside` lists files with the same content in its folder."""
    return write_rendered(path, "page.html", page_values(views, plots, gallery, beside, paired))


def write_rendered(path: Path, template: str, values: Mapping[str, Any], own: Sequence[Path] = ()) -> Path:
    """Render a template and write the result atomically. Templates are searched in `own`, then in this package."""
    # Escaped by default: names of runs and classes come from files of others. An undefined variable is an error.
    environment = Environment(
        loader=FileSystemLoader([*own, TEMPLATES]), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template(template).render(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def page_values(
    views: Sequence[RunView],
    plots: Sequence[Plot],
    gallery: Gallery,
    beside: Sequence[str],
    paired: Comparison | Wins | None,
) -> dict[str, Any]:
    """Return the variables of the template. Only the shipped CSS and scripts and the plots are not escaped."""
    first = views[0].run
    values = {
        "title": f"{' · '.join(view.label for view in views)} on {first.dataset}",
        "dataset": first.dataset,
        "images": first.score.images,
        "protocol": first.score.protocol,
        "warnings": [f"{view.label}: {warning}" for view in views for warning in warnings_on(view.score)],
        "key": comparability_key(first)[:8],
        "version": __version__,
        "css": Markup(_template("page.css")),
        "js": Markup("\n".join(_template(name) for name in SCRIPTS)),
        "runs": views,
        "headline_names": [name for name in HEADLINE if any(view.headline()[name][0] is not None for view in views)],
        "costs": _costs(views),
        "has_intervals": any("intervals" in view.views for view in views),
        "kinds": ERROR_TYPES,
        "beside": beside,
        "plots": {plot.name: plot for plot in plots},
        "advice": advice(views, paired),
        "differences": None if paired is None else (paired.sentences, difference_tables(paired)),
        **_numbers(views),
        **_pictures(views, gallery),
    }
    return {**values, "sections": {key: name for key, name in SECTIONS.items() if _has(values, key)}}


def _costs(views: Sequence[RunView]) -> Table:
    """Return the columns of the headline beside the metrics; the template adds small print."""
    columns = {
        "published PQ": [percent(view.row["published_PQ"]) for view in views],
        "params (M)": [millions(view.row["parameters"]) for view in views],
        "multiply-adds (G)": gigas([view.row["multiply_adds"] for view in views]),
        "latency p50 / p95 (ms)": [latency(view.row["latency_p50"], view.row["latency_p95"]) for view in views],
    }
    rows = zip([view.label for view in views], *columns.values(), strict=True)
    return Table("", ("run", *columns), tuple(rows)).without_empty()


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _numbers(views: Sequence[RunView]) -> dict[str, Any]:
    found = [(view, one) for view in views if (one := confusions(view)) is not None]
    return {
        "measures": measures(views),
        "class_errors": [(view, class_errors_name(view)) for view in views],
        "sizes": sizes(views),
        "confusions": found,
        "scatters": scatters(views),
        "timings": [
            (timing_table(timing, view.label), timing_lines(timing)) for view in views if (timing := view.timing)
        ],
        "label_maps": map_views(views),
        "origin": provenance_rows(views),
    }


def _pictures(views: Sequence[RunView], gallery: Gallery) -> dict[str, Any]:
    categories = [{"name": c.name, "color": list(c.color), "isthing": c.isthing} for c in views[0].run.categories]
    return {
        "gallery": gallery,
        "gallery_kinds": list(dict.fromkeys(str(card["kind"]) for card in gallery.cards)),
        "categories": categories,
        "error_colors": [(ERROR_NAMES[error], tuple(ERROR_COLORS[error])) for error in Error],
        "index": {
            "categories": categories,
            "errors": [{"name": ERROR_NAMES[error], "color": list(ERROR_COLORS[error])} for error in Error],
            "runs": [view.label for view in views],
            "shown": sorted({int(k) for image in gallery.images for k in image["runs"]}),
            "classes": [_classes(image) for image in gallery.images],
            "cards": gallery.cards,
        },
    }


def _classes(image: Mapping[str, Any]) -> list[int]:
    maps = [image["truth"], *image["runs"].values()]
    return sorted({segment[0] for one in maps for segment in one["segments"]})


def _has(values: Mapping[str, Any], section: str) -> bool:
    needs = {
        "differences": values["differences"],
        "errors": "errors" in values["plots"],
        "sizes": values["sizes"],
        "confusion": values["confusions"],
        "training": any(name.startswith("training-") for name in values["plots"]),
    }
    return bool(needs.get(section, True))
