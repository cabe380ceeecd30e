"""Sentences that the page and the Markdown share."""

from __future__ import annotations

from collections.abc import Sequence

from bench.study.contrasts import Arm
from bench.study.outcome import StudyOutcome

# Of the study that this one repeats: SQ, RQ and what it reported as PQ, percent.
REPORTED = {"v125": (36.38, 15.06, 5.48), "v119": (37.51, 17.76, 6.66)}


def product(sq: float, rq: float) -> float:
    """Percent times percent."""
    return sq * rq / 100


TRAP = (
    "PQ is the mean over classes of each class's SQ times RQ; the mean of products is not the product of the means, "
    "unless SQ and RQ do not vary together. The study reported "
    + ", and ".join(
        f"PQ {pq:.2f} beside SQ {sq:.2f} and RQ {rq:.2f} ({name}): {sq:.2f} × {rq:.2f} / 100 = {product(sq, rq):.2f}"
        for name, (sq, rq, pq) in REPORTED.items()
    )
    + ". So its PQ is mean SQ times mean RQ; its true PQ cannot be recovered from those numbers, as it needs each "
    "class's. The table shows both numbers for our trainings."
)


def about(outcome: StudyOutcome, scored: Sequence[Arm]) -> str:
    """What was scored, for a table's head."""
    images = scored[0].runs[0].score["images"] if scored else 0
    return f"{outcome.study.dataset}, {images} images, percent, means of the seeds with 95 % intervals over images"


def quick_note(outcome: StudyOutcome) -> str:
    """What a quick look is worth."""
    changes = outcome.study.quick.set if outcome.study.quick else {}
    told = ", ".join(f"{key} {value}" for key, value in changes.items())
    return (
        f"A quick look ({told}; at most {outcome.study.limit} images scored). It shows that everything runs, and "
        "concludes nothing: no network here has learned enough for its numbers to mean anything."
    )
