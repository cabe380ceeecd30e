"""Text tables of the breakdowns of a run, from the plain data that `bench show --json` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bench.analysis.choice import Candidate, Choice
from bench.analysis.paired_breakdown import PairedBreakdown
from bench.analysis.rules import RuleBoard
from bench.metrics.errors import ERROR_TYPES
from bench.metrics.pq import GROUPS
from bench.metrics.rules import RULES
from bench.reports.comparison_tables import comparison_rows, corrected_p, interval_tables
from bench.reports.tables import UNDEFINED, Table, intervals, percent

# Shorter names, so that the table fits into a terminal.
HEADERS = {"misclassified": "wrong class"}


def error_tables(found: Mapping[str, Any]) -> list[Table]:
    """Return the losses of 1 - PQ by error type, and counts of missed and surplus segments by error type."""
    rows = [(name, found[name]) for name in GROUPS] + [(row["name"], row) for row in found["per_class"]]
    losses = tuple(
        (name, percent(row["PQ"]), *(percent(row["loss"][kind]) for kind in ERROR_TYPES)) for name, row in rows
    )
    # Without the first type, mask quality: it is the loss of matched segments, which are neither missed nor too many.
    counts = tuple(
        (
            name,
            str(row["TP"] + sum(row["FN"].values())),
            str(row["TP"]),
            percent(row.get("precision")),
            percent(row.get("recall")),
            *(_both(row, kind) for kind in ERROR_TYPES[1:]),
        )
        for name, row in rows[len(GROUPS) :]
    )
    return [
        Table("What is missing to PQ 100; every row adds up to 100", ("", "PQ", *_headers(ERROR_TYPES)), losses),
        Table(
            "Segments: missed + too many, by kind (precision and recall in percent)",
            ("class", "truth", "TP", "precision", "recall", *_headers(ERROR_TYPES[1:])),
            counts,
        ),
    ]


def _headers(kinds: Sequence[str]) -> list[str]:
    return [HEADERS.get(kind, kind) for kind in kinds]


def _both(row: Mapping[str, Any], kind: str) -> str:
    fn, fp = row["FN"].get(kind, 0), row["FP"].get(kind, 0)
    return f"{fn}+{fp}" if fn or fp else UNDEFINED


def size_tables(found: Mapping[str, Any]) -> list[Table]:
    """Return a table with one row per size bin; `classes` is the number of classes in the mean."""
    columns = ("bin", "PQ", "SQ", "RQ", "classes", "PQ things", "PQ stuff", "TP", "FP", "FN")
    titles = {
        "coco": "PQ by area (px): small < 32² ≤ medium < 96² ≤ large",
        "relative": "PQ by area as a share of the image",
    }
    return [Table(titles[kind], columns, tuple(_size_row(row) for row in rows)) for kind, rows in found.items()]


def _size_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    whole = row["PQ"]["all"]
    return (
        row["bin"],
        *(percent(whole[name]) for name in ("PQ", "SQ", "RQ")),
        str(whole["n"]),
        *(percent(row["PQ"][group]["PQ"]) for group in ("things", "stuff")),
        *(str(row[name]) for name in ("TP", "FP", "FN")),
    )


def threshold_tables(found: Mapping[str, Any]) -> list[Table]:
    columns = ("", "PQ†", "mean", *found["thresholds"])
    groups = tuple(
        (
            name,
            percent(found["PQ_dagger"][name]),
            percent(found["mean"][name]),
            *(percent(row["PQ"][name]["PQ"]) for row in found["thresholds"].values()),
        )
        for name in GROUPS
    )
    classes = tuple(
        (row["name"], str(row["support"]), percent(row["PQ_dagger"]), *(percent(value) for value in row["PQ"]))
        for row in found["per_class"]
    )
    return [
        Table("PQ where a match needs IoU above", columns, groups),
        Table("Classes (truth: segments)", ("class", "truth", "PQ†", *found["thresholds"]), classes),
    ]


def confusion_tables(found: Mapping[str, Any]) -> list[Table]:
    """Return each class with its three most frequent confusions, in percent of its pixels."""
    columns = ("class", "truth (px)", "precision", "recall", "taken for (percent of its pixels)")
    return [
        Table(f"Pixels, {kind} map, percent", columns, tuple(_confusion_row(row) for row in one["per_class"]))
        for kind, one in found.items()
    ]


def _confusion_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    worst = [f"{name} {percent(pixels / row['truth_px'])}" for name, pixels in list(row["confused_with"].items())[:3]]
    return (
        row["name"],
        str(row["truth_px"]),
        percent(row["precision"]),
        percent(row["recall"]),
        ", ".join(worst) or UNDEFINED,
    )


def boundary_tables(found: Mapping[str, Any], per_class: bool = True) -> list[Table]:
    groups = tuple(
        (
            name,
            *(percent(found["PQ"][name][quality]) for quality in ("PQ", "SQ", "RQ")),
            str(found["PQ"][name]["n"]),
            percent(found["boundary_IoU"][name]),
        )
        for name in GROUPS
    )
    classes = tuple(
        (
            row["name"],
            str(row["TP"] + row["FN"]),
            *(percent(row[quality]) for quality in ("PQ", "SQ", "RQ", "boundary_IoU")),
        )
        for row in found["per_class"]
    )
    title = f"Boundary PQ (d = {100 * found['dilation']:g} % of the diagonal), percent"
    head = ("boundary PQ", "SQ", "RQ")
    tables = [Table(title, ("", *head, "classes", "boundary IoU of matches"), groups)]
    return [*tables, Table("Classes", ("class", "truth", *head, "boundary IoU"), classes)] if per_class else tables


def rule_tables(found: Mapping[str, Any]) -> list[Table]:
    """Return PQ under every rule, its difference to the rule of panopticapi, and how the rules differ."""
    qualities = {rule: one["PQ"] for rule, one in found.items()}
    reference = qualities["coco"]["all"]["PQ"]
    rows = tuple(
        (rule, *(percent(one["all"][name]) for name in ("PQ", "SQ", "RQ")), _gain(one["all"]["PQ"], reference),
         *(percent(one[group]["PQ"]) for group in ("things", "stuff")), found[rule]["differs"])
        for rule, one in qualities.items()
    )  # fmt: skip
    columns = ("rule", "PQ", "SQ", "RQ", "PQ − coco", "PQ things", "PQ stuff", "what differs from panopticapi")
    return [Table("PQ under the rules of other evaluators, percent", columns, rows)]


def _gain(value: float | None, reference: float | None) -> str:
    return UNDEFINED if value is None or reference is None else f"{100 * (value - reference):+.1f}"


def rule_board_table(board: RuleBoard) -> Table:
    """Return a board under one rule; a rank that another rule gives otherwise has an asterisk."""
    others = [rule for rule in RULES if rule != board.rule]
    rows = tuple(
        (str(row.rank), row.name, *(percent(getattr(row.quality.all, name)) for name in ("PQ", "SQ", "RQ")),
         _gain(row.PQ[board.rule], row.PQ["coco"]),
         *(f"{row.ranks[rule]}{'*' if row.ranks[rule] != row.rank else ''}" for rule in others))
        for row in board.rows
    )  # fmt: skip
    changed = any(row.ranks[rule] != row.rank for row in board.rows for rule in others)
    title = f"{board.dataset}, {board.images} images, PQ by rule {board.rule}, percent" + (
        "; * ranks that another rule changes" if changed else "; no other rule changes a rank"
    )
    columns = ("#", "model", "PQ", "SQ", "RQ", "PQ − coco", *(f"# {rule}" for rule in others))
    return Table(title, columns, rows)


def choice_table(found: Choice) -> Table:
    """Return the candidates of a choice, best PQ first, with their place on the front or why they are out."""
    rows = tuple(
        (
            one.name,
            quality,
            *(UNDEFINED if value is None else f"{value:.3g}" for value in (one.ms, one.GB)),
            UNDEFINED if one.images_timed is None else str(one.images_timed),
            one.excluded or _place(one),
        )
        for one, quality in zip(found.candidates, intervals([one.PQ for one in found.candidates]), strict=True)
    )
    hardware = f", timed on {found.hardware}" if found.hardware else ""
    title = f"{found.dataset}, {found.images} images, PQ in percent with 95 % intervals{hardware}"
    return Table(title, ("run", "PQ", "ms an image", "GB", "images timed", "place"), rows)


def _place(one: Candidate) -> str:
    if not one.dominated_by:
        return "front" if one.front else "not timed"
    return f"beaten by {one.dominated_by}" + ("" if one.surely else ", PQ not shown to be lower")


def paired_tables(found: PairedBreakdown) -> list[Table]:
    """Return the rows of a breakdown in both runs with their differences, a table for each of GROUPS."""
    what = {
        "errors": "Points of PQ lost to each type of error",
        "by_size": "PQ by size: area (px) small < 32² ≤ medium < 96² ≤ large, or share of the image",
    }[found.view]
    columns = ("", "A", "B", "B − A", "95 % of B − A", "p (Holm)", "95 % of A", "95 % of B")
    titles = {"all": "all classes", "things": "thing classes", "stuff": "stuff classes"}
    return [
        Table(
            f"{what}, {titles[group]} (p: two-sided, Holm's correction for "
            f"{sum(row.p_holm is not None for row in rows)} rows)",
            columns,
            tuple(
                (*cells[:5], corrected_p(row.p_holm, found.replicates), *cells[6:])
                for cells, row in zip(comparison_rows(rows, found.replicates), rows, strict=True)
            ),
        )
        for group, rows in found.groups.items()
    ]


TABLES: Mapping[str, Callable[[Mapping[str, Any]], list[Table]]] = {
    "errors": error_tables,
    "by_size": size_tables,
    "thresholds": threshold_tables,
    "confusion": confusion_tables,
    "boundary": boundary_tables,
    "intervals": interval_tables,
    "rules": rule_tables,
}


def breakdown_tables(views: Mapping[str, Mapping[str, Any]]) -> Iterator[Table]:
    for view, found in views.items():
        yield from TABLES[view](found)
