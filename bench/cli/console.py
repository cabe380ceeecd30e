"""Console output: results on stdout, everything else on stderr, colours only on a terminal.

rich is imported inside the functions, since it would dominate the time of `bench --help`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench.types import ProgressCallback

if TYPE_CHECKING:
    from rich.console import Console

_NUMBER = re.compile(r"[-–±+]?[\d.,]*%?$")


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def print_status(text: str) -> None:
    """Print plain text on stderr."""
    _console(stderr=True).print(text, markup=False)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def print_text(text: str) -> None:
    _console().print(text, markup=False)


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table on stdout; numeric columns are right-aligned."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", header_style="bold")
    for i, column in enumerate(columns):
        numbers = bool(rows) and all(_NUMBER.match(row[i]) for row in rows)
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, width=None if _console().is_terminal else 160).print(table)


def print_tables(tables: Iterable[Any]) -> None:
    for table in tables:
        print_table(table.title, list(table.columns), [list(row) for row in table.rows])


@contextmanager
def progress(label: str, *, announced: bool = False) -> Iterator[ProgressCallback]:
    """Show a progress bar on stderr with images per second and the time left. Yields `on_image(done, total)`.

    Without a terminal only one line is printed at the start, if `announced`.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: print_status(f"{label}: {total} images") if announced and done == 1 else None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn

    class Rate(TextColumn):
        """Images per second, computed only when drawn because it averages over many samples."""

        def render(self, task: Task) -> Any:
            speed = task.finished_speed or task.speed
            return self.text_format.format(speed) if speed else ""

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate("{:.1f} images/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def training_progress() -> Iterator[tuple[Callable[[Any], None], Callable[[str], None]]]:
    """Show a progress bar of a training on stderr. Yields `on_step(StepReport)` and a callback for notes."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    err = _console(stderr=True)
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1.0)

        def update(report: Any) -> None:
            quality = "" if report.PQ is None else f" held-back PQ {100 * report.PQ:.1f}"
            memory = "" if report.memory_mb is None else f" {report.memory_mb / 1000:.1f} GB"
            bar.update(
                task, completed=report.done, description=f"step {report.step} loss {report.loss:.2f}{quality}{memory}"
            )
            if report.PQ is not None:
                err.print(f"step {report.step}: loss {report.loss:.2f},{quality}", markup=False)

        yield update, lambda note: err.print(note, markup=False)
