"""Console output: results on stdout, everything else on stderr, colours only on a terminal.

rich is imported inside the functions, since it would dominate the time of `bench --help`.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from bench.reports.tables import Table

GAP = 2  # blanks between two columns
# A number, or a number with its interval: the cells of a column that is aligned to the right and never wrapped.
NUMBER = re.compile(r"([<>+±−-]? ?\d[\d.,]*%?( ?(%|–|/|\+|to) ?[+−-]?\d[\d.,]*)*%?( \([^()]{1,24}\))?|–|)$")
# Characters of our tables and messages, for terminals whose encoding lacks them.
PLAIN = {
    "–": "-",
    "−": "-",
    "±": "+/-",
    "×": "x",
    "·": "-",
    "…": "...",
    "→": "->",
    "†": "+",
    "≥": ">=",
    "≤": "<=",
    "─": "-",
}


def console(stderr: bool = False) -> Console:
    from rich.console import Console

    # soft_wrap: rich would break long lines, and with them paths that users copy.
    # Without emoji=False, rich prints `ade20k:train:` with a picture of a train.
    return Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)


def print_status(text: str) -> None:
    """Print plain text on stderr."""
    console(stderr=True).print(text, markup=False)


def print_note(text: str, *, stderr: bool = False) -> None:
    """Print sentences, which a terminal may break between words, unlike paths and commands that are copied."""
    out = console(stderr)
    out.print(text, markup=False, soft_wrap=not out.is_terminal)


def print_json(value: Any) -> None:
    # Escapes where the encoding lacks characters: a replaced one would spoil the JSON.
    escaped = not (sys.stdout.encoding or "").lower().startswith("utf")
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=escaped) + "\n")


def print_text(text: str) -> None:
    console().print(text, markup=False)


def print_tables(tables: Iterable[Table]) -> None:
    """Print tables on stdout, and on stderr the columns that do not fit into the terminal."""
    missing = dict.fromkeys(name for table in tables for name in _print_fitting(table.title, table.columns, table.rows))
    if missing:
        print_note(f"not shown at this width: {', '.join(missing)}; a wider terminal or --json has them", stderr=True)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from bench.reports.tables import Table

    print_tables([Table(title, tuple(columns), tuple(map(tuple, rows)))])


def _print_fitting(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Print a table and return the columns that are left out because the terminal is too narrow.

    Numeric columns are right-aligned; columns without a value are left out everywhere.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    out = console()
    width = out.width if out.is_terminal or "COLUMNS" in os.environ else None
    shown, widths = fit_columns(columns, rows, width)
    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        show_edge=False,
        safe_box=False,
        padding=(0, GAP - 1, 0, 0),
        pad_edge=False,
    )
    for i, cells in zip(shown, widths, strict=True):
        justify = "right" if rows and _is_numeric([row[i] for row in rows]) else "left"
        table.add_column(columns[i], justify=justify, width=cells, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(row[i] for i in shown))
    if title:  # not as rich's title, which is folded to the width of the table
        out.print(title, style="italic", markup=False, soft_wrap=not out.is_terminal)
    # A console of its own width: rich would squeeze the table into 80 columns where there is no terminal.
    Console(highlight=False, markup=False, emoji=False, width=sum(widths) + GAP * len(widths)).print(table)
    valued = [i for i in range(len(columns)) if any(row[i] not in ("", "–") for row in rows)]
    return [columns[i] for i in valued if i not in shown]


def fit_columns(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None
) -> tuple[list[int], list[int]]:
    """Return the positions of the columns that fit into `width` characters and the width of each.

    Words are not cut: a column is at least as wide as its longest word, or its longest cell where it is numeric.
    """
    shown = [i for i in range(len(columns)) if not rows or i == 0 or any(row[i] not in ("", "–") for row in rows)]
    least: dict[int, int] = {}
    most: dict[int, int] = {}
    for i in shown:
        cells = [str(row[i]) for row in rows]
        head = max(map(len, columns[i].split()), default=0)
        lines = [line for cell in cells for line in cell.split("\n")]
        longest = max(map(len, lines), default=0)
        words = (
            longest if _is_numeric(cells) else max((len(word) for line in lines for word in line.split()), default=0)
        )
        least[i], most[i] = max(head, words), max(head, longest)
    if width is None:
        return shown, [max(most[i], len(columns[i])) for i in shown]
    # Tables list their least important columns last.
    while len(shown) > 1 and sum(least[i] + GAP for i in shown) - GAP > width:
        shown.pop()
    spare = width + GAP - sum(least[i] + GAP for i in shown)
    # The columns that need least are filled first, so that what they leave goes to the wide ones.
    for position, i in enumerate(sorted(shown, key=lambda i: most[i] - least[i])):
        given = max(0, min(most[i] - least[i], spare // (len(shown) - position)))
        least[i] += given
        spare -= given
    return shown, [least[i] for i in shown]


def _is_numeric(cells: Sequence[str]) -> bool:
    return all(NUMBER.match(cell) for cell in cells)


def accept_every_character() -> None:
    """Replace characters that the encoding of stdout or stderr lacks by plain ones, instead of raising an error."""
    # Windows and LC_ALL=C have encodings without "–" or "→", and a table must not end in UnicodeEncodeError.
    codecs.register_error("bench.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="bench.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    plain = "".join(PLAIN.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in lacking)
    return plain, error.end
