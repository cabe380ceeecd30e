"""Text tables, numbers with intervals, Markdown and LaTeX output."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.comparison import decimals
from bench.metrics.bootstrap import Estimate
from bench.metrics.pq import MUCH_VOID
from bench.metrics.score import Score

UNDEFINED = "–"


@dataclass(frozen=True)
class Table:
    """A table of formatted cells; the first column is text, the others are numbers.

    `highest` and `lowest` name the columns where the highest or the lowest number is the best: of its column, or of its
    row if `by_row`.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    highest: tuple[str, ...] = ()
    lowest: tuple[str, ...] = ()
    by_row: bool = False

    def without_empty(self) -> Table:
        """Return the table without columns that have no value in any row; the first column stays."""
        kept = [
            k for k in range(len(self.columns)) if k == 0 or any(row[k] not in ("", UNDEFINED) for row in self.rows)
        ]
        columns, *rows = (tuple(cells[k] for k in kept) for cells in (self.columns, *self.rows))
        return replace(self, columns=columns, rows=tuple(rows))

    def best(self) -> set[tuple[int, int]]:
        """Return (row, column) of the best numbers as they are shown; equal ones are all best, one alone is not."""
        found = set()
        for names, pick in ((self.highest, max), (self.lowest, min)):
            columns = [k for k, name in enumerate(self.columns) if name in names]
            cells = [[(i, k) for k in columns] for i in range(len(self.rows))]
            for line in cells if self.by_row else zip(*cells, strict=True):
                numbers = {at: number for at in line if (number := leading_number(self.rows[at[0]][at[1]])) is not None}
                top = pick(numbers.values(), default=None)
                found |= {at for at, number in numbers.items() if number == top and len(numbers) > 1}
        return found


def leading_number(cell: str) -> float | None:
    """Return the number that a cell begins with: "58.1 (56.5 to 59.6)" → 58.1; None if it begins with none."""
    found = re.match(r"[+-]?\d+(\.\d+)?", cell)
    return float(found[0]) if found else None


def percent(fraction: float | None) -> str:
    """Format a fraction as percent: 0.6234 → 62.3."""
    # One decimal, as papers report PQ.
    return UNDEFINED if fraction is None else f"{100 * fraction:.1f}"


def millions(count: int | None) -> str:
    """Format a count in millions: 2,345,678 → 2.3."""
    return f"{count / 1e6:.1f}" if count else UNDEFINED


def giga(count: int | None) -> str:
    """Format a count in 10⁹ with at least three digits: 3,935,686,144 → 3.94; 235.6 G → 236."""
    if not count:
        return UNDEFINED
    value = count / 1e9
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def gigas(counts: Sequence[int | None]) -> list[str]:
    """Format a column in 10⁹ with the decimals of its least count."""
    texts = [giga(count) for count in counts]
    digits = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [f"{count / 1e9:.{digits}f}" if count else UNDEFINED for count in counts]


def cost_line(parameters: int | None, multiply_adds: int | None) -> str:
    """Return a phrase with parameters and multiply-adds, each if known; "" if neither is."""
    known = [f"{millions(parameters)} M parameters"] if parameters else []
    known += [f"{giga(multiply_adds)} G multiply-adds an image"] if multiply_adds else []
    return ", ".join(known)


def headline(name: str, dataset: str, score: Score) -> Table:
    """Return PQ, SQ, RQ and the number of classes for all, things and stuff, and both kinds of mIoU."""
    title = f"{name} on {dataset}, {score.images} images, protocol {score.protocol}, percent"
    columns = ("", "PQ", "SQ", "RQ", "classes", "mIoU semantic", "mIoU panoptic")
    mious = (percent(score.mIoU.semantic), percent(score.mIoU.panoptic))
    rows = tuple(
        (group, *(percent(value) for value in (row.PQ, row.SQ, row.RQ)), str(row.n),
         *(mious if group == "all" else ("", "")))
        for group, row in score.PQ.items()
    )  # fmt: skip
    return Table(title, columns, rows)


def ignored_line(score: Score) -> str:
    """Return what PQ leaves out as a sentence; "" for runs that lack it."""
    found = score.ignored
    if found is None:
        return ""
    return (
        f"ignored: {found.on_void + found.on_crowd} of {found.predicted_segments} predicted segments "
        f"({found.on_void} on void, {found.on_crowd} on crowds); void: {percent(found.void_share)} % of the truth"
    )


def warnings_on(score: Score) -> list[str]:
    """Return a sentence for each reason not to trust the numbers of a score."""
    found, warnings = score.ignored, []
    means = [quality for group in (score.PQ.all, score.PQ.things, score.PQ.stuff) for quality in (group.PQ, group.SQ)]
    best = max(value or 0 for value in [*means, *(row.SQ for row in score.per_class)])
    # panopticapi divides by the union of declared areas, which may then be smaller than the intersection.
    unlike = found.areas_unlike_pixels if found is not None and score.protocol == "coco" else 0
    if unlike or best > 1:
        share = f" of {unlike} of {found.truth_segments} segments" if found is not None and unlike else ""
        gone = found.without_pixels if found is not None else 0
        missed = (
            f"; {gone} of them {'have' if gone > 1 else 'has'} no pixel and no prediction can find them" if gone else ""
        )
        above = f"a quality of {percent(best)} is above 100: " if best > 1 else ""
        warnings.append(
            f"WARNING: {above}areas{share} in the truth's JSON are not those of its pixels, and protocol coco scores "
            f"with them, as panopticapi does{missed}; write the counted areas, or recount them by --protocol strict"
        )
    if found is not None and found.void_share > MUCH_VOID:
        warnings.append(
            f"WARNING: {percent(found.void_share)} % of the truth is void, and predicted segments there are not "
            "counted as wrong; if these pixels are background, list it as a stuff class"
        )
    return warnings


def semantic_table(score: Score) -> Table:
    """Return metrics of the model's semantic map and of its panoptic map reduced to classes."""
    measures = (score.mIoU, score.pixel_accuracy, score.frequency_weighted_IoU)
    rows = tuple(
        (kind, *(percent(getattr(measure, kind, None)) for measure in measures)) for kind in ("semantic", "panoptic")
    )
    return Table("Semantic maps, percent", ("map", "mIoU", "pixel accuracy", "frequency weighted IoU"), rows)


def class_table(score: Score) -> Table:
    """Return one row per class in the order of the label space; TP, FP and FN count segments."""
    columns = ("class", "PQ", "SQ", "RQ", "IoU semantic", "IoU panoptic", "TP", "FP", "FN", "kind")
    rows = tuple(
        (row.name, *(percent(value) for value in (row.PQ, row.SQ, row.RQ, row.IoU.semantic, row.IoU.panoptic)),
         str(row.TP), str(row.FP), str(row.FN), "thing" if row.isthing else "stuff")
        for row in score.per_class
    )  # fmt: skip
    return Table("Classes, percent", columns, rows)


def to_markdown_table(table: Table, text_columns: Collection[str] = ()) -> str:
    """Return a Markdown table with numbers right-aligned and `|` escaped. Default text column: the first."""
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
    # In pdflatex's first font encoding these are other letters, or in no font.
    "<": "$<$", ">": "$>$", "|": "$|$", "−": "$-$", "×": r"$\times$", "±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$",
    "→": r"$\to$", "²": "$^2$", "†": r"\dag{}", "–": "--", "…": r"\ldots{}", "·": r"$\cdot$",
    # At the start of a row they would be arguments of the line break before it.
    "[": "{[}", "*": "{*}",
}  # fmt: skip
LONGEST = 45  # rows of a LaTeX table, which fill a page
WIDEST = 45  # letters of the names of its columns in one row and in larger type


def to_latex_table(table: Table, text_columns: Collection[str] = (), label: str = "") -> str:
    r"""Return LaTeX for booktabs and pdflatex: a float with the title as caption, and \label{tab:`label`} if given.

    The best numbers are bold, intervals are small print in a row of their own, columns without a value are left out.
    A table of more than LONGEST rows becomes several.
    """
    table = table.without_empty()
    text, best = set(text_columns) or {table.columns[0]}, table.best()
    columns = "".join("l" if column in text else "r" for column in table.columns)
    wide = sum(map(len, table.columns)) > WIDEST
    size = (r"\footnotesize", r"\setlength{\tabcolsep}{2.5pt}") if wide else (r"\small",)
    head = _latex_head(table.columns, wide)
    blocks = [_latex_block(cells, {k for i, k in best if i == at}) for at, cells in enumerate(table.rows)]
    parts = [blocks[start : start + LONGEST] for start in range(0, max(len(blocks), 1), LONGEST)]
    texts = []
    for k, part in enumerate(parts):
        said, mark = (f" ({k + 1} of {len(parts)})", f"-{k + 1}") if len(parts) > 1 else ("", "")
        lines = [
            r"% needs \usepackage{booktabs}", r"\begin{table}[tbp]", r"\centering",
            rf"\caption{{{_latex(table.title)}{said}}}", *([rf"\label{{tab:{label}{mark}}}"] if label else []),
            *size, rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule", head,
            r"\midrule", *part, r"\bottomrule", r"\end{tabular}", r"\end{table}",
        ]  # fmt: skip
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)


def to_latex_tables(tables: Sequence[Table], name: str, text_columns: Collection[str] = ()) -> str:
    """Return the LaTeX of tables with the labels tab:`name`, tab:`name`-2 and so on."""
    labels = [f"{name}-{k}" if k > 1 else name for k in range(1, len(tables) + 1)]
    return "\n".join(to_latex_table(one, text_columns, label) for one, label in zip(tables, labels, strict=True))


def _latex_head(columns: Sequence[str], wide: bool) -> str:
    """Return the names of the columns in a row, or in two."""
    if not wide:
        return _latex_row(map(_latex, columns))
    halves = [
        textwrap.wrap(name, max(math.ceil(len(name) / 2) + 1, 7), break_on_hyphens=False, break_long_words=False)
        for name in columns
    ]
    upper = [parts[0] if len(parts) > 1 else "" for parts in halves]
    lower = [" ".join(parts[1:] or parts) for parts in halves]
    return "\n".join(_latex_row(map(_latex, row)) for row in (upper, lower) if any(row))


def _latex_block(cells: Sequence[str], best: Collection[int]) -> str:
    """Return a row and, if its numbers have intervals in parentheses, one below with them."""
    halves = [re.fullmatch(r"(\S+) \((.+ to .+)\)", cell) for cell in cells]
    upper = [_latex(found[1] if found else cell) for found, cell in zip(halves, cells, strict=True)]
    row = _latex_row(rf"\textbf{{{cell}}}" if k in best else cell for k, cell in enumerate(upper))
    # A dash is narrower than "to", but beside signs it would be another minus.
    spans = [found and (found[2] if found[2][0] in "+-" else found[2].replace(" to ", "–")) for found in halves]
    lower = [rf"\scriptsize {_latex(span)}" if span else "" for span in spans]
    return f"{row}\n{_latex_row(lower)}" if any(lower) else row


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(letter, letter) for letter in text)
    # The minus of a number, which follows no letter or digit.
    return re.sub(r"(?<![\w}-])-(?=\d)", "$-$", escaped)


def intervals(estimates: Sequence[Estimate], sign: str = "") -> list[str]:
    """Format a column of values with their intervals: 0.3605 in 0.3511..0.3697 → "36.1 (35.1 to 37.0)".

    `sign` "+" shows the sign, for differences.
    """
    digits = places(estimates)
    shown = [(value(one, digits, sign), ends(one, digits, sign)) for one in estimates]
    return [text if UNDEFINED in (text, span) else f"{text} ({span})" for text, span in shown]


def places(estimates: Iterable[Estimate]) -> int:
    """Return the decimals of a column of percentages: those of its widest interval, at least 1."""
    # One precision for a column, so that its decimal points align.
    widths = [(e.low, e.high) for e in estimates if e.low is not None and e.high is not None and e.high > e.low]
    return max(1, decimals(*max(widths, key=lambda ends: ends[1] - ends[0]))) if widths else 1


def value(estimate: Estimate, places: int, sign: str = "") -> str:
    """Format the value of an estimate as percent. `sign` "+" shows the sign, for differences."""
    return UNDEFINED if estimate.value is None else f"{100 * estimate.value:{sign}.{places}f}"


def ends(estimate: Estimate, places: int, sign: str = "") -> str:
    """Format the interval of an estimate: 0.3511, 0.3697 → "35.1 to 37.0"."""
    if estimate.low is None or estimate.high is None:
        return UNDEFINED
    return f"{100 * estimate.low:{sign}.{places}f} to {100 * estimate.high:{sign}.{places}f}"
