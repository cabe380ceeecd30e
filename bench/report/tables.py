"""A score as tables of text; the command line draws them, a report writes them as Markdown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

UNDEFINED = "–"


@dataclass(frozen=True)
class Table:
    """Cells ready to show; the first column is text, the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def percent(fraction: float | None) -> str:
    """0.6234 → 62.3"""
    return UNDEFINED if fraction is None else f"{100 * fraction:.1f}"


def millions(count: int | None) -> str:
    """2,345,678 → 2.3"""
    return f"{count / 1e6:.1f}" if count else UNDEFINED


def giga(count: int | None) -> str:
    """Three digits at least, since tiny networks and large ones share tables: 3,935,686,144 → 3.94; 235.6 G → 236"""
    if not count:
        return UNDEFINED
    value = count / 1e9
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def cost_line(parameters: int | None, multiply_adds: int | None) -> str:
    """A sentence for what is known of the two, or nothing."""
    known = [f"{millions(parameters)} M parameters"] if parameters else []
    known += [f"{giga(multiply_adds)} G multiply-adds an image"] if multiply_adds else []
    return ", ".join(known)


def headline(name: str, dataset: str, score: Mapping[str, Any]) -> Table:
    """PQ, SQ, RQ of all, things and stuff with the classes in each mean; the two kinds of mIoU."""
    title = f"{name} on {dataset}, {score['images']} images, protocol {score['protocol']}, percent"
    columns = ("", "PQ", "SQ", "RQ", "classes", "mIoU semantic", "mIoU panoptic")
    rows = tuple(
        (
            group,
            *(percent(score["PQ"][group][quality]) for quality in ("PQ", "SQ", "RQ")),
            str(score["PQ"][group]["n"]),
            *(percent(score["mIoU"][kind]) if group == "all" else "" for kind in ("semantic", "panoptic")),
        )
        for group in ("all", "things", "stuff")
    )
    return Table(title, columns, rows)


def semantic_table(score: Mapping[str, Any]) -> Table:
    """What both kinds of semantic map are worth: the model's own, and its panoptic map rasterised."""
    measures = {
        "mIoU": "mIoU",
        "pixel accuracy": "pixel_accuracy",
        "frequency weighted IoU": "frequency_weighted_IoU",
    }
    rows = tuple(
        (kind, *(percent(score.get(field, {}).get(kind)) for field in measures.values()))
        for kind in ("semantic", "panoptic")
    )
    return Table("Semantic maps, percent", ("map", *measures), rows)


def class_table(score: Mapping[str, Any]) -> Table:
    """A row a class in the order of the space; TP, FP and FN count segments."""
    columns = ("class", "PQ", "SQ", "RQ", "IoU semantic", "IoU panoptic", "TP", "FP", "FN", "kind")
    return Table("Classes, percent", columns, tuple(_class_row(row) for row in score["per_class"]))


def _class_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    qualities = (row["PQ"], row["SQ"], row["RQ"], row["IoU"]["semantic"], row["IoU"]["panoptic"])
    counts = (row["TP"], row["FP"], row["FN"])
    return (
        str(row["name"]),
        *(percent(value) for value in qualities),
        *(str(count) for count in counts),
        "thing" if row["isthing"] else "stuff",
    )


def to_markdown_table(table: Table, text_columns: Collection[str] = ()) -> str:
    """A Markdown table; numbers to the right. A bar within a cell is escaped."""
    text = set(text_columns) or {table.columns[0]}
    rules = (":--" if column in text else "--:" for column in table.columns)
    lines = [_line(table.columns), _line(rules), *(_line(row) for row in table.rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Any) -> str:
    safe = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(safe)} |"


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\n": " ",
}  # fmt: skip


def to_latex_table(table: Table, text_columns: Collection[str] = ()) -> str:
    """A tabular for the package booktabs, its title as a comment; numbers to the right."""
    text = set(text_columns) or {table.columns[0]}
    columns = "".join("l" if column in text else "r" for column in table.columns)
    head, *rows = (" & ".join(_latex(cell) for cell in cells) + r" \\" for cells in (table.columns, *table.rows))
    title = "% " + " ".join(table.title.split())
    parts = [title, rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule"]
    return "\n".join([*parts, r"\end{tabular}"]) + "\n"


def _latex(cell: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in cell)
