"""The metrics of one image by plain loops over its segments and pairs: what the columns are held against."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

from bench.metrics.errors import ERROR_TYPES
from bench.metrics.size import BINS
from bench.metrics.thresholds import THRESHOLDS
from bench.overlap import Overlap


class ImageLoops:
    """One overlap under a protocol; segments are named by their dense ids."""

    def __init__(self, overlap: Overlap, protocol: str) -> None:
        self.overlap, self.protocol = overlap, protocol
        self.shared = {(i, j): n for i, j, n in overlap.table.tolist()}
        self.void = Counter({j: n for (i, j), n in self.shared.items() if i == 0})
        self.ious = {}
        for (i, j), n in self.shared.items():
            if i and j:
                truth, predicted = overlap.truth[i - 1], overlap.predicted[j - 1]
                declared = truth.declared_area is not None and protocol == "coco"
                area = truth.declared_area if declared else truth.area
                self.ious[i, j] = n / max(area + (predicted.area - self.void[j]) - n, 1)
        self.same = {
            (i, j): iou
            for (i, j), iou in self.ious.items()
            if not overlap.truth[i - 1].iscrowd
            and overlap.truth[i - 1].category_id == overlap.predicted[j - 1].category_id
        }

    def scored(self, i: int) -> bool:
        segment = self.overlap.truth[i - 1]
        return not segment.iscrowd and (self.protocol == "coco" or segment.area > 0)

    def forgiven(self, j: int) -> bool:
        """More than half of the segment is void, or crowd of its category: the last one listed, or any by strict."""
        own = self.overlap.predicted[j - 1]
        crowds = [i for i, s in enumerate(self.overlap.truth, 1) if s.iscrowd and s.category_id == own.category_id]
        counted = crowds[-1:] if self.protocol == "coco" else crowds
        return (self.void[j] + sum(self.shared.get((i, j), 0) for i in counted)) / own.area > 0.5

    def matches(self, at: float = 0.5) -> tuple[dict[tuple[int, int], float], list[int], list[int]]:
        tp = {pair: iou for pair, iou in self.same.items() if iou > at}
        found, used = {i for i, _ in tp}, {j for _, j in tp}
        fp = [j for j in range(1, len(self.overlap.predicted) + 1) if j not in used and not self.forgiven(j)]
        return tp, fp, [i for i in range(1, len(self.overlap.truth) + 1) if i not in found and self.scored(i)]

    def kinds(self) -> tuple[dict[int, str], dict[int, str]]:
        """The error type of each missed and each surplus segment."""
        _, fp, fn = self.matches()
        truth, predicted = self.overlap.truth, self.overlap.predicted
        of_truth: dict[str, set[int]] = defaultdict(set)
        of_prediction: dict[str, set[int]] = defaultdict(set)

        def put(kind: str, truths, predictions) -> None:
            of_truth[kind].update(truths)
            of_prediction[kind].update(predictions)

        parts, swallowed = defaultdict(list), defaultdict(list)
        for (i, j), iou in self.ious.items():
            n = self.shared[i, j]
            if (i, j) in self.same:
                if 2 * n > predicted[j - 1].area - self.void[j]:
                    parts[i].append(j)
                if 2 * n > truth[i - 1].area:
                    swallowed[j].append(i)
                if 0.1 < iou <= 0.5:
                    put("poor mask", [i], [j])
            elif not truth[i - 1].iscrowd and truth[i - 1].category_id != predicted[j - 1].category_id and iou > 0.5:
                put("misclassified", [i], [j])
        for i, pieces in parts.items():
            if len(pieces) > 1 and 2 * sum(self.shared[i, j] for j in pieces) > truth[i - 1].area:
                put("split", [i], pieces)
        for j, taken in swallowed.items():
            if len(taken) > 1:
                put("merged", taken, [j])
        put("left void", [i for (i, j), n in self.shared.items() if i and not j and 2 * n > truth[i - 1].area], [])
        return (
            {i: next((kind for kind in ERROR_TYPES if i in of_truth[kind]), "missed") for i in fn},
            {j: next((kind for kind in ERROR_TYPES if j in of_prediction[kind]), "spurious") for j in fp},
        )


@dataclass
class LoopTotals:
    """Sums over images, added up one at a time, IoU as fractions."""

    protocol: str
    at: dict[float, dict[int, list]] = field(default_factory=lambda: {at: defaultdict(_four) for at in THRESHOLDS})
    bins: dict[tuple[str, int], dict[int, list]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(_four))
    )
    fn: Counter = field(default_factory=Counter)
    fp: Counter = field(default_factory=Counter)
    best: dict[int, list] = field(default_factory=lambda: defaultdict(lambda: [Fraction(0), 0]))
    images: list[dict[int, list]] = field(default_factory=list)

    def add(self, overlap: Overlap) -> ImageLoops:
        one = ImageLoops(overlap, self.protocol)
        truth, predicted = overlap.truth, overlap.predicted
        for at in THRESHOLDS:
            _count(self.at[at], one, at)
        self.images.append(_count(defaultdict(_four), one, 0.5))
        tp, fp, fn = one.matches()
        for kind, sized in BINS.items():
            px = overlap.image_px if sized.relative else 1
            for (i, _), iou in tp.items():
                own = self.bins[kind, _bin(sized.edges, truth[i - 1].area / px)][truth[i - 1].category_id]
                own[0] += 1
                own[3] += Fraction(iou)
            for place, segments, numbers in ((1, predicted, fp), (2, truth, fn)):
                for number in numbers:
                    segment = segments[number - 1]
                    self.bins[kind, _bin(sized.edges, segment.area / px)][segment.category_id][place] += 1
        of_truth, of_prediction = one.kinds()
        self.fn.update((truth[i - 1].category_id, kind) for i, kind in of_truth.items())
        self.fp.update((predicted[j - 1].category_id, kind) for j, kind in of_prediction.items())
        for i, segment in enumerate(truth, 1):
            if one.scored(i):
                best = self.best[segment.category_id]
                best[0] += Fraction(max((iou for (k, _), iou in one.same.items() if k == i), default=0.0))
                best[1] += 1
        return one


def _four() -> list:
    return [0, 0, 0, Fraction(0)]


def _bin(edges: tuple[float, ...], area: float) -> int:
    return sum(area >= edge for edge in edges)


def _count(sums: dict[int, list], one: ImageLoops, at: float) -> dict[int, list]:
    tp, fp, fn = one.matches(at)
    for (i, _), iou in tp.items():
        own = sums[one.overlap.truth[i - 1].category_id]
        own[0] += 1
        own[3] += Fraction(iou)
    for place, segments, numbers in ((1, one.overlap.predicted, fp), (2, one.overlap.truth, fn)):
        for number in numbers:
            sums[segments[number - 1].category_id][place] += 1
    return sums
