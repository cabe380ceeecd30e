"""Report of a suite with corruptions: PQ by corruption and strength, mPC and rPC, losses of classes, pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image as PilImage

from bench.analysis.robustness import ModelRobustness, Robustness, robustness, sentences
from bench.analysis.suite import Outcome, Suite
from bench.datasets.corruptions import KINDS, Corruption, jpeg_library
from bench.datasets.registry import load_dataset
from bench.errors import DataError
from bench.metrics.bootstrap import Estimate
from bench.reports.figures.curves import strength_curves
from bench.reports.suite.report import Picture, SuiteReport, write_report
from bench.reports.tables import UNDEFINED, Table, ends, percent, places, value

WIDTH = 480  # px of a picture on the page
QUALITY = 85


def robustness_report(suite: Suite, outcomes: Sequence[Outcome], folder: Path) -> SuiteReport | None:
    """Write the report into a folder; None, and no file, if no run is complete."""
    found = robustness(suite, outcomes)
    if found is None:
        return None
    strengths = ", ".join(map(str, found.strengths))
    about = f"{found.dataset}, {found.images} images, strengths {strengths}, percent with 95 % intervals over images"
    library = [f"JPEGs are written and read by {jpeg_library()}."] if "jpeg" in found.corruptions else []
    details = [
        *(cells_table(found, one) for one in found.models),
        *map(classes_table, found.models),
        units_table(found),
    ]
    made = SuiteReport(
        found.title, about, sentences(found),
        [models_table(found), corruptions_table(found), *differences_tables(found)],
        [table for table in details if table.rows], [*found.notes, *library], [strength_curves(found)],
        pictures(suite), found.to_json(), [],
    )  # fmt: skip
    return write_report(made, outcomes, folder)


def models_table(found: Robustness) -> Table:
    """Return clean PQ, mPC and rPC of each model."""
    columns = [[getattr(one, name) for one in found.models] for name in ("clean", "mPC", "rPC")]
    rows = zip((one.name for one in found.models), *(_with_ends(column) for column in columns), strict=True)
    head = ("model", *(name for title in ("clean PQ", "mPC", "rPC") for name in (title, f"95 % of {title}")))
    cells = tuple((row[0], *(cell for pair in row[1:] for cell in pair)) for row in rows)
    runs = f"{len(found.corruptions)} corruptions at strength {', '.join(map(str, found.strengths))}"
    return Table(f"{found.title}: {found.dataset}, {found.images} images, {runs}, percent", head, cells)


def _with_ends(column: Sequence[Estimate], sign: str = "") -> list[tuple[str, str]]:
    digits = places(column)
    return [(value(one, digits, sign), ends(one, digits, sign)) for one in column]


def corruptions_table(found: Robustness) -> Table:
    """Return PQ of each corruption, the mean over strengths, of each model."""
    names = [name for one in found.models for name in (one.name, "95 %")]
    columns = [_with_ends([one.by_corruption[name] for name in found.corruptions]) for one in found.models]
    rows = zip(found.corruptions, *columns, strict=True)
    cells = tuple((row[0], *(cell for pair in row[1:] for cell in pair)) for row in rows)
    return Table("PQ of each corruption, mean over strengths", ("corruption", *names), cells)


def cells_table(found: Robustness, one: ModelRobustness) -> Table:
    """Return PQ of each corruption at each strength, and the clean PQ."""
    cells = [one.cells[str(Corruption(n, s))] for n in found.corruptions for s in found.strengths]
    shown = [f"{text} ({interval})" if interval != UNDEFINED else text for text, interval in _with_ends(cells)]
    each = len(found.strengths)
    rows = tuple((name, *shown[k * each : (k + 1) * each]) for k, name in enumerate(found.corruptions))
    head = ("corruption", *(f"strength {strength}" for strength in found.strengths))
    return Table(f"PQ of {one.name}; clean {percent(one.clean.value)}", head, rows)


def classes_table(one: ModelRobustness) -> Table:
    """Return PQ of each class on clean and corrupted pictures, and the corruption that costs most."""
    rows = tuple(
        (row.name, str(row.support), percent(row.clean), percent(row.corrupted),
         UNDEFINED if row.clean is None or row.corrupted is None else f"{100 * (row.corrupted - row.clean):+.1f}",
         row.worst or UNDEFINED)
        for row in one.classes
    )  # fmt: skip
    return Table(f"Classes of {one.name}, PQ", ("class", "truth", "clean", "corrupted", "difference", "worst"), rows)


def differences_tables(found: Robustness) -> Iterator[Table]:
    """Yield the difference of each model to the first."""
    for pair in found.differences:
        shown = _with_ends(list(pair.values.values()), "+")
        rows = tuple((name, *cells) for name, cells in zip(pair.values, shown, strict=True))
        yield Table(f"{pair.b} − {pair.a}, points", ("", "difference", "95 %"), rows)


def units_table(found: Robustness) -> Table:
    rows = tuple((name, *(_value(KINDS[name].values[s - 1]) for s in found.strengths), KINDS[name].unit)
                 for name in found.corruptions)  # fmt: skip
    return Table("Units", ("corruption", *(f"strength {s}" for s in found.strengths), "settings"), rows)


def _value(value: object) -> str:
    return " and ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def pictures(suite: Suite) -> list[Picture]:
    """Return the first image of the first run's data set as it is and at the middle strength of each corruption.

    None if it cannot be read, since a data set may have moved since its runs.
    """
    strength = sorted(suite.strengths)[len(suite.strengths) // 2]
    try:
        image = load_dataset(suite.runs[0].dataset).samples[0].read_image()
    except (DataError, IndexError):
        return []
    corruptions = [Corruption(name, strength) for name in suite.corruptions]
    changed = [(f"{one.name}, strength {one.strength}", one.apply(image).rgb) for one in corruptions]
    shown = []
    for caption, rgb in [(f"{image.image_id}, clean", image.rgb), *changed]:
        picture = PilImage.fromarray(rgb)
        picture.thumbnail((WIDTH, WIDTH))
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=QUALITY)
        shown.append(Picture(caption, f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"))
    return shown
