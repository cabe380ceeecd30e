"""Table and sentences on the time, memory and energy of a run."""

from __future__ import annotations

from bench.reports.tables import UNDEFINED, Table
from bench.results.timing import NEEDS, Timing

ROWS = {"total": "total, from pixels", "whole": "whole, from the file"}  # stage → name, if it is another


def timing_table(timing: Timing, run: str = "") -> Table:
    """Return a row for each stage with its percentiles in ms; the title has sample size and hardware."""
    where = f"{timing.n} images one at a time on {timing.hardware}, {timing.device} / {timing.precision}, ms"
    rows = (
        (ROWS.get(stage, stage), *(milliseconds(timing.percentile(at, stage)) for at in NEEDS))
        for stage in timing.stages()
    )
    return Table(f"{run}: {where}" if run else f"Time of {where}", ("stage", *(f"p{at}" for at in NEEDS)), tuple(rows))


def timing_lines(timing: Timing) -> list[str]:
    """Return sentences on throughput, memory and energy, and on what could not be measured."""
    lines, batches = [], timing.throughput
    if batches is not None:
        lines.append(
            f"throughput: {rate(batches.images_per_second)} images/s at batch size {batches.batch_size} "
            f"(n = {batches.images}, one stage after the other, without reading)"
        )
    peaks = {"process": timing.process_peak_bytes, "device": timing.device_peak_bytes}
    known = [f"{gigabytes(peak)} GB of the {name}" for name, peak in peaks.items() if peak is not None]
    lines += [f"peak memory: {', '.join(known)}"] if known else []
    if batches is not None and batches.joules_per_image is not None:
        lines.append(f"energy: {batches.joules_per_image:.3g} J an image (n = {batches.images}, of the whole device)")
    reasons = "; ".join(f"{name} {reason}" for name, reason in timing.reasons().items())
    return [*lines, reasons] if reasons else lines


def latency(p50: float | None, p95: float | None) -> str:
    """Format the median and the 95th percentile of seconds as ms; "–" if there is no median."""
    return UNDEFINED if p50 is None else f"{milliseconds(p50)} / {milliseconds(p95)}"


def milliseconds(seconds: float | None) -> str:
    return UNDEFINED if seconds is None else f"{1000 * seconds:.1f}"


def rate(per_second: float) -> str:
    """Format images per second: 12.3, and 0.92 of slow models."""
    return f"{per_second:.1f}" if per_second >= 10 else f"{per_second:.2f}"


def gigabytes(count: int) -> str:
    """Format bytes in 10⁹: 1,234,567,890 → 1.23."""
    return f"{count / 1e9:.2f}"
