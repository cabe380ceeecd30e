"""Progress on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.cli.console import console, print_status
from bench.cli.memory import memory_watch
from bench.types import ProgressCallback

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, ProgressColumn, Task

    from bench.training.log import StepReport

# Seconds: short work adds no line to a log, and long work adds six per minute.
FIRST_LINE, NEXT_LINE = 2.0, 10.0


@contextmanager
def progress(label: str, *, announced: bool = False) -> Iterator[ProgressCallback]:
    """Show how many images are done, images per second and the time left. Yields `on_image(done, total)`.

    Without a terminal, lines take the place of the bar; the first one comes at once if `announced`.
    """
    with _bar(label, announced) as callback:
        yield callback(label)


@contextmanager
def run_progress(label: str) -> Iterator[tuple[ProgressCallback, ProgressCallback]]:
    """Show the progress of a run in one bar: first its data are hashed. Yields `on_file` and `on_image`.

    The memory in use is shown, and a warning if it runs low.
    """
    with _bar(label, watched=True) as callback:
        yield callback("hashing the data"), callback(label)


@contextmanager
def _bar(label: str, announced: bool = False, watched: bool = False) -> Iterator[Callable[[str], ProgressCallback]]:
    """Show a bar, or lines without a terminal. Yields a function that returns the callback of a label."""
    if not sys.stderr.isatty():
        yield partial(progress_lines, announced=announced, memory=memory_watch(print_status) if watched else None)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(TextColumn):
        """Images per second, computed only when drawn because it averages over many samples."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(self.text_format.format(speed) if speed else "")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate("{:.1f} images/s"),
        TimeRemainingColumn(),
    )
    err = console(stderr=True)
    memory = memory_watch(partial(err.print, markup=False)) if watched else lambda: ""
    with _bar_over_memory(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=None, memory="")

        def update(label: str, done: int, total: int) -> None:
            bar.update(task, description=label, completed=done, total=total, memory=memory())

        yield lambda label: partial(update, label)


def _bar_over_memory(*columns: ProgressColumn, **options: Any) -> Progress:
    """Return rich's bar with the field `memory` of its task on a line below, which fits 80 characters so."""
    from rich.progress import Progress
    from rich.text import Text

    class Bar(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            for task in self.tasks:
                if note := task.fields["memory"]:
                    yield Text(note, style="dim")

    return Bar(*columns, **options)


def progress_lines(
    label: str,
    announced: bool = False,
    clock: Callable[[], float] = time.monotonic,
    write: Callable[[str], None] = print_status,
    memory: Callable[[], str] | None = None,
) -> ProgressCallback:
    """Return a callback that writes a line after two seconds, every ten seconds from then on, and at the end.

    `memory` returns a note on memory for the line; it is called for every image after two seconds.
    """
    begun = clock()
    due = begun if announced else begun + FIRST_LINE

    def on_image(done: int, total: int) -> None:
        nonlocal due
        now = clock()
        note = f", {memory()}" if memory and now >= begun + FIRST_LINE else ""
        if now >= due or (done == total and now >= begun + FIRST_LINE):
            due = now + NEXT_LINE
            write(f"{label}: {done} of {total} images, {now - begun:.0f} s{note}")

    return on_image


@contextmanager
def training_progress() -> Iterator[tuple[Callable[[StepReport], None], Callable[[str], None]]]:
    """Show the progress of a training on stderr, with the memory in use and a warning if it runs low.

    Yields `on_step(StepReport)` and a callback for notes. Without a terminal, lines take the place of the bar, beside
    those of every measured PQ.
    """
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("training"),
        BarColumn(),
        TextColumn("{task.description}", markup=False),
        TimeRemainingColumn(),
    )
    err = console(stderr=True)
    memory = memory_watch(partial(err.print, markup=False))
    with _bar_over_memory(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1.0, memory="")
        due = time.monotonic() + FIRST_LINE

        def update(report: StepReport) -> None:
            nonlocal due
            quality = "" if report.PQ is None else f" held-back PQ {100 * report.PQ:.1f}"
            state, note = f"step {report.step} loss {report.loss:.2f}{quality}", memory()
            bar.update(task, completed=report.done, description=state, memory=note)
            if report.PQ is not None:
                err.print(f"step {report.step}: loss {report.loss:.2f},{quality}", markup=False)
            elif not err.is_terminal and time.monotonic() >= due:
                due = time.monotonic() + NEXT_LINE
                err.print(f"training: {100 * report.done:.0f} %, {state}, {note}", markup=False)

        yield update, lambda note: err.print(note, markup=False)
