"""The choice of a model: the front of PQ, latency and memory among comparable runs, and a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.analysis.ranking import comparability_key, ranked_together
from bench.analysis.wins import Wins, wins
from bench.errors import NotComparable, UsageError
from bench.io.config import did_you_mean
from bench.metrics.bootstrap import Estimate
from bench.results.run import Run, labels
from bench.results.timing import Timing, read_timing


@dataclass(frozen=True)
class Candidate:
    """One run. `PQ` is a fraction, `ms` the median latency of an image, `GB` the peak memory; None if not measured.

    `excluded` is the reason why the run cannot be taken, "" if it can; an excluded run has no place. A run of the
    front is beaten by no other in PQ, latency and memory at once. `dominated_by` names a run that beats it, and
    `surely` whether its PQ is higher after Holm's correction.
    """

    name: str
    run: str
    PQ: Estimate
    ms: float | None
    GB: float | None
    images_timed: int | None
    excluded: str = ""
    front: bool = False
    dominated_by: str = ""
    surely: bool = False


@dataclass(frozen=True)
class Choice:
    """The candidates, best PQ first; `choice` is the name of the run to take, None if the limits exclude all."""

    dataset: str
    images: int
    key: str
    hardware: str | None
    choice: str | None
    sentences: tuple[str, ...]
    candidates: tuple[Candidate, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def choose(
    runs: Sequence[Run],
    dataset: str,
    *,
    max_ms: float | None = None,
    max_gb: float | None = None,
    refused: Callable[[Run], str] = lambda run: "",
) -> Choice:
    """Choose among the complete runs on a data set, those of the ground truth that most images and runs have.

    `refused` returns why a run may not be taken for another reason (its licence), or "". Raises UsageError if there is
    no run, NotComparable if latencies were measured on different hardware.
    """
    with_pq = [run for run in runs if run.done is not None and run.score.PQ.all.PQ is not None]
    groups = ranked_together(with_pq, dataset)
    if not groups:
        known = sorted({run.dataset for run in with_pq})
        raise UsageError(f"--dataset {dataset}: no complete run with a PQ; {did_you_mean(dataset, known)}")
    # Models as they are come before those with settings changed, of which there may be many.
    (key, _), found = max(groups.items(), key=lambda one: (one[1][0].score.images, not one[0][1], len(one[1]), one[0]))
    chosen = choose_among(found, max_ms=max_ms, max_gb=max_gb, refused=refused)
    other = sum(map(len, groups.values())) - len(found)
    note = (f"{other} runs on other images, by other rules or with settings changed are left out (taken: {key[:8]}).",)
    return replace(chosen, sentences=chosen.sentences + (note if other else ()))


def choose_among(
    runs: Sequence[Run],
    *,
    max_ms: float | None = None,
    max_gb: float | None = None,
    refused: Callable[[Run], str] = lambda run: "",
    matrix: Wins | None = None,
) -> Choice:
    """Choose among runs on the same ground truth; `matrix` are their wins, if they are known.

    Raises NotComparable if they are of different ground truth, or their latencies of different hardware.
    """
    names = labels(runs)
    timings = {name: read_timing(run.folder) for name, run in zip(names, runs, strict=True)}
    refusals = {name: refused(run) for name, run in zip(names, runs, strict=True)}
    hardware = _one_hardware({name: timing for name, timing in timings.items() if not refusals[name]})
    if matrix is None and len(runs) > 1:
        matrix = wins(runs, names)
    pq = dict(zip(matrix.names, matrix.PQ, strict=True)) if matrix else {}
    listed = [_candidate(name, run, timings[name], pq.get(name)) for name, run in zip(names, runs, strict=True)]
    listed = [replace(one, excluded=refusals[one.name] or _beyond(one, max_ms, max_gb)) for one in listed]
    listed = sorted((_placed(one, listed, matrix) for one in listed), key=lambda one: (-(one.PQ.value or 0), one.name))
    allowed = [one for one in listed if not one.excluded]
    limits = [f"{max_ms:g} ms" if max_ms is not None else "", f"{max_gb:g} GB" if max_gb is not None else ""]
    sentences = _sentences(listed, allowed, matrix, " and ".join(filter(None, limits)))
    first = runs[0]
    choice = allowed[0].name if allowed else None
    return Choice(
        first.dataset, first.score.images, comparability_key(first)[:8], hardware, choice, sentences, tuple(listed)
    )


def _one_hardware(timings: Mapping[str, Timing | None]) -> str | None:
    """Return the hardware that all timings are of, None without timings. Raises NotComparable if there are several."""
    places: dict[str, list[str]] = {}
    for name, timing in timings.items():
        if timing is not None:
            places.setdefault(f"{timing.hardware} ({timing.device.partition(':')[0]})", []).append(name)
    if len(places) > 1:
        told = "; ".join(f"{place}: {', '.join(names)}" for place, names in places.items())
        raise NotComparable(
            f"latencies of different hardware ({told}) do not compare; measure all on one machine by bench run --timing"
        )
    return next(iter(places), None)


def _candidate(name: str, run: Run, timing: Timing | None, pq: Estimate | None) -> Candidate:
    peak = timing.peak_bytes if timing else None
    return Candidate(
        name, run.folder.name, pq or Estimate(run.score.PQ.all.PQ, None, None), 1000 * timing.p50 if timing else None,
        None if peak is None else peak / 1e9, timing.n if timing else None,
    )  # fmt: skip


def _beyond(one: Candidate, max_ms: float | None, max_gb: float | None) -> str:
    """Return which limit a run exceeds, or was not measured for, or ""."""
    for value, limit, unit, what in ((one.ms, max_ms, "ms", "latency"), (one.GB, max_gb, "GB", "peak memory")):
        if limit is not None and value is None:
            return f"its {what} was not measured; bench run --timing measures it"
        if limit is not None and value is not None and value > limit:
            return f"{value:.3g} {unit} are more than {limit:g}"
    return ""


def _placed(one: Candidate, listed: Sequence[Candidate], matrix: Wins | None) -> Candidate:
    """Return a candidate with its place among those not excluded: of the front, or dominated by the best of them."""
    if one.excluded:
        return one
    beats = [other for other in listed if not other.excluded and _beats(other, one)]
    if not beats:
        return replace(one, front=one.ms is not None)
    best = max(beats, key=lambda other: (other.PQ.value or 0, other.name))
    surely = matrix is not None and best.name in matrix.beaters(one.name)
    return replace(one, dominated_by=best.name, surely=surely)


def _beats(one: Candidate, other: Candidate) -> bool:
    """Return whether a run is no worse in PQ, latency and memory, where both have them, and better in one."""
    if one.ms is None or other.ms is None:
        return False
    gb = (one.GB, other.GB) if one.GB is not None and other.GB is not None else (0.0, 0.0)
    ours, theirs = (one.ms, gb[0], -(one.PQ.value or 0)), (other.ms, gb[1], -(other.PQ.value or 0))
    return all(a <= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs


def _sentences(
    listed: Sequence[Candidate], allowed: Sequence[Candidate], matrix: Wins | None, limits: str
) -> tuple[str, ...]:
    among = f"{len(allowed)} of {len(listed)} runs" if len(allowed) < len(listed) else f"{len(listed)} runs"
    within = f" within {limits}" if limits else ""
    if not allowed:
        return (f"No run can be taken{within}: {'; '.join(f'{one.name}: {one.excluded}' for one in listed)}.",)
    best, *others = allowed
    said = [f"Take {best.name}: the highest PQ ({100 * (best.PQ.value or 0):.1f}) of {among}{within}{_cost(best)}."]
    for one in others:
        cheaper = [
            f"{mine:.3g} {unit} in place of {its:.3g}"
            for mine, its, unit in ((one.ms, best.ms, "ms"), (one.GB, best.GB, "GB"))
            if mine is not None and its is not None and mine < its
        ]
        if matrix is not None and best.name not in matrix.beaters(one.name):
            low_high = matrix.between(matrix.names.index(best.name), matrix.names.index(one.name))
            ends = f"{100 * (low_high.low or 0):+.1f} to {100 * (low_high.high or 0):+.1f}"
            cost = f" and needs {' and '.join(cheaper)}" if cheaper and one.front else ""
            said.append(f"{one.name} is not shown to be worse (difference {ends} points){cost}.")
    surely = [one.name for one in listed if one.surely]
    if surely:
        said.append(f"Worse in PQ and no cheaper than another run: {', '.join(surely)}.")
    if untimed := [one.name for one in listed if one.ms is None]:
        said.append(f"Without latency and memory (bench run --timing measures them): {', '.join(untimed)}.")
    return tuple(said)


def _cost(one: Candidate) -> str:
    parts = [
        f"{one.ms:.3g} ms an image" if one.ms is not None else "",
        f"{one.GB:.3g} GB" if one.GB is not None else "",
    ]
    told = " and ".join(filter(None, parts))
    return f", at {told}" if told else ""
