"""The label maps between models, data and scores: what each class is made of, its pixels, the ceiling that is left.

Counted from what a run has stored. What a map made of the *truth* is not in there, since the lines hold the truth as
mapped: that is shown where `bench data map --record` has measured it, and else said to be missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.label_map_audit import read_audit
from bench.reports.tables import UNDEFINED, Table, percent
from bench.reports.views.runs import RunView

Labels = Mapping[str, Any]  # what run.json records of a map: its sha256, and the names


@dataclass(frozen=True)
class ClassReach:
    """A class that is scored: the source classes that become it, its share of the truth's pixels, its segments
    (None where the truth has none)."""

    name: str
    origins: tuple[str, ...]
    share: float | None
    segments: int | None


@dataclass(frozen=True)
class MapView:
    """A label map as a report shows it; `of` says what it maps. Shares and ceilings are fractions.

    `void` are the classes that become void, `void_share` what of the truth as scored is void. `ceiling` is PQ and mIoU
    of a model that is right in every class that something becomes, on the truth of this run; `audit` is what
    `bench data map` measured, where it was kept.
    """

    of: tuple[str, ...]
    sha256: str
    rows: tuple[ClassReach, ...]
    void: tuple[str, ...]
    void_share: float | None
    ceiling: tuple[float | None, float | None]
    dataset: str
    audit: Mapping[str, Any] | None

    @property
    def unreachable(self) -> list[ClassReach]:
        return [row for row in self.rows if not row.origins]

    @property
    def sentences(self) -> list[str]:
        """What stands above the table."""
        out = ", ".join(f"{row.name} ({percent(row.share)} % of the pixels)" for row in self.unreachable)
        said = [f"Map of {' and '.join(self.of)}. Out of reach: {out or 'no class'}."]
        if self.audit is not None:
            return [*said, *_measured(self.audit)]
        if self.missing:
            return said
        pq, miou = (percent(value) for value in self.ceiling)
        return [*said, f"Ceiling of a model that is right in every class it has: PQ {pq}, mIoU {miou}."]

    @property
    def missing(self) -> str:
        """What was not measured, with `remedy`; "" where nothing is missing."""
        lost = "what the map made void of the truth, and the ceiling: the stored lines hold the truth as mapped"
        return f"Not measured: {lost}." if "truth" in self.of and self.audit is None else ""

    @property
    def remedy(self) -> str:
        """The command that reads it from the data."""
        return f"bench data map {self.dataset} --record RUN"

    def table(self) -> Table:
        """A row a class, and what is void."""
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


def _measured(audit: Mapping[str, Any]) -> list[str]:
    pixels, ceiling = audit["pixels"], audit["ceiling"]
    share = {name: percent(count / pixels["all"] if pixels["all"] else None) for name, count in pixels.items()}
    gone = [f"{name} {percent(count / pixels['all'])} %" for name, count in audit["to_void"].items() if count]
    return [
        f"Of the pixels, {share['covered']} % are of a class, {share['lost']} % became void "
        f"({', '.join(gone) or 'none'}) and {share['gained']} % were void before.",
        f"Ceiling of a model that gets every class of the unmapped data right: PQ {percent(ceiling['PQ'])}, "
        f"mIoU {percent(ceiling['mIoU'])}.",
    ]


def map_views(views: Sequence[RunView]) -> list[MapView]:
    """Of the data set, and of each run's predictions; a map that does both, or serves several runs, stands once."""
    found: dict[str, MapView] = {}
    for view in views:
        meta = view.run.meta
        kinds = (("truth", meta["dataset"].get("label_map")), (f"predictions of {view.label}", meta.get("label_map")))
        for of, labels in kinds:
            if labels:
                one = found.get(labels["sha256"]) or _map_view(labels, view)
                found[labels["sha256"]] = replace(one, of=(*one.of, *([of] if of not in one.of else [])))
    return list(found.values())


def _map_view(labels: Labels, view: RunView) -> MapView:
    names: Mapping[str, str | None] = labels["names"]
    shares, segments = _shares(view), bool(view.score["PQ"]["all"]["n"])
    rows = tuple(
        ClassReach(
            row["name"],
            tuple(a for a, b in names.items() if b == row["name"]),
            share,
            row["TP"] + row["FN"] if segments else None,
        )
        for row, share in zip(view.score["per_class"], shares, strict=False)
    )
    void = tuple(a for a, b in names.items() if b is None)
    ceiling = _reached(rows, [row.segments for row in rows]), _reached(rows, [row.share for row in rows])
    audit = read_audit(view.run, labels["sha256"])
    return MapView((), labels["sha256"], rows, void, shares[-1], ceiling, view.run.dataset, audit)


def _shares(view: RunView) -> list[float | None]:
    """Of the truth's pixels, for each class and void; None where the lines are not at hand."""
    tables = view.views.get("confusion", {})
    kind = next((kind for kind in ("panoptic", "semantic") if kind in tables), None)
    if kind is None:
        return [None] * (len(view.run.categories) + 1)
    counts = [sum(row) for row in tables[kind]["pixels"]]
    return [count / max(sum(counts), 1) for count in counts]


def _reached(rows: Sequence[ClassReach], there: Sequence[float | None]) -> float | None:
    """The mean over the classes that are there of 1 where something becomes them, and 0."""
    occurring = [bool(row.origins) for row, amount in zip(rows, there, strict=True) if amount]
    return sum(occurring) / len(occurring) if occurring else None
