"""Label maps of a report: source classes and pixels of each class, and the score ceiling.

Computed from the stored run. What a map changes in the ground truth cannot be computed from it, because the image lines
hold the mapped truth: this is shown if `bench data map` recorded it in the run's folder, and reported as missing if
not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.analysis.label_map_audit import StoredAudit, read_audit
from bench.reports.tables import UNDEFINED, Table, percent
from bench.reports.views.runs import RunView
from bench.results.records import LabelMapRecord


@dataclass(frozen=True)
class ClassReach:
    """An evaluated class with its source classes, its share of the truth's pixels, and its segments.

    `segments` is None if the truth has none at all.
    """

    name: str
    origins: tuple[str, ...]
    share: float | None
    segments: int | None


@dataclass(frozen=True)
class MapView:
    """A label map in a report; `of` lists what it is applied to. Shares and ceilings are fractions.

    `void` lists the classes mapped to void, `void_share` is the void share of the evaluated truth. `ceiling` is PQ and
    mIoU of a model that predicts all reachable classes perfectly, on the truth of this run. `audit` is the recorded
    result of `bench data map`, None if there is none.
    """

    of: tuple[str, ...]
    sha256: str
    rows: tuple[ClassReach, ...]
    void: tuple[str, ...]
    void_share: float | None
    ceiling: tuple[float | None, float | None]
    dataset: str
    audit: StoredAudit | None

    @property
    def unreachable(self) -> list[ClassReach]:
        return [row for row in self.rows if not row.origins]

    @property
    def sentences(self) -> list[str]:
        out = ", ".join(f"{row.name} ({percent(row.share)} % of the pixels)" for row in self.unreachable)
        said = [f"Map of {' and '.join(self.of)}. Out of reach: {out or 'no class'}."]
        if self.audit is not None:
            return [*said, *_measured(self.audit)]
        if self.missing:
            return said
        pq, miou = (percent(value) for value in self.ceiling)
        return [*said, f"Ceiling of a model that predicts every class of its own correctly: PQ {pq}, mIoU {miou}."]

    @property
    def missing(self) -> str:
        """What was not measured, or "". `remedy` is the command that measures it."""
        # A report reads the stored run alone, and its lines hold the truth after mapping.
        lost = "the pixels that the map turns into void, and the ceiling: the stored lines hold the mapped truth"
        return f"Not measured: {lost}." if "truth" in self.of and self.audit is None else ""

    @property
    def remedy(self) -> str:
        return f"bench data map {self.dataset} --record RUN"

    def table(self) -> Table:
        rows = [
            (
                r.name,
                ", ".join(r.origins) or UNDEFINED,
                percent(r.share),
                UNDEFINED if r.segments is None else str(r.segments),
            )
            for r in self.rows
        ]
        void = ("void", ", ".join(self.void) or UNDEFINED, percent(self.void_share), UNDEFINED)
        title = f"Label map {self.sha256[:8]}, of {' and '.join(self.of)}"
        return Table(title, ("class", "made of", "truth (% of pixels)", "segments"), (*rows, void))


def _measured(audit: StoredAudit) -> list[str]:
    pixels, ceiling = audit.pixels, audit.ceiling
    covered, lost, gained = (percent(n / pixels.all if pixels.all else None)
                             for n in (pixels.covered, pixels.lost, pixels.gained))  # fmt: skip
    gone = [f"{name} {percent(count / pixels.all)} %" for name, count in audit.to_void.items() if count]
    return [
        f"Of the pixels, {covered} % are of a class, {lost} % became void "
        f"({', '.join(gone) or 'none'}) and {gained} % were void before.",
        f"Ceiling of a model that predicts every class of the unmapped data correctly: PQ {percent(ceiling.PQ)}, "
        f"mIoU {percent(ceiling.mIoU)}.",
    ]


def map_views(views: Sequence[RunView]) -> list[MapView]:
    """Return the maps of the data set and of each run's predictions, without duplicates."""
    found: dict[str, MapView] = {}
    for view in views:
        meta = view.run.meta
        kinds = (("truth", meta.dataset.label_map), (f"predictions of {view.label}", meta.label_map))
        for of, labels in kinds:
            if labels:
                one = found.get(labels.sha256) or _map_view(labels, view)
                found[labels.sha256] = replace(one, of=(*one.of, *([of] if of not in one.of else [])))
    return list(found.values())


def _map_view(labels: LabelMapRecord, view: RunView) -> MapView:
    names = labels.names
    shares, segments = _shares(view), bool(view.score.PQ.all.n)
    rows = tuple(
        ClassReach(
            row.name,
            tuple(a for a, b in names.items() if b == row.name),
            share,
            row.TP + row.FN if segments else None,
        )
        for row, share in zip(view.score.per_class, shares, strict=False)
    )
    void = tuple(a for a, b in names.items() if b is None)
    ceiling = _reached(rows, [row.segments for row in rows]), _reached(rows, [row.share for row in rows])
    audit = read_audit(view.run, labels.sha256)
    return MapView((), labels.sha256, rows, void, shares[-1], ceiling, view.run.dataset, audit)


def _shares(view: RunView) -> list[float | None]:
    """Return the share of the truth's pixels for each class, void last; None if the image lines are missing."""
    tables = view.views.get("confusion", {})
    kind = next((kind for kind in ("panoptic", "semantic") if kind in tables), None)
    if kind is None:
        return [None] * (len(view.run.categories) + 1)
    counts = [sum(row) for row in tables[kind]["pixels"]]
    return [count / max(sum(counts), 1) for count in counts]


def _reached(rows: Sequence[ClassReach], there: Sequence[float | None]) -> float | None:
    """Return the share of the occurring classes that any source class maps to."""
    # A reachable class can have PQ or IoU 1 and any other has 0, so that the share is also the best possible mean.
    occurring = [bool(row.origins) for row, amount in zip(rows, there, strict=True) if amount]
    return sum(occurring) / len(occurring) if occurring else None
