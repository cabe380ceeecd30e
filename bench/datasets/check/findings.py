"""Faults that a check can report, with severity and remedy; findings and their report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from bench.metrics.pq import MUCH_VOID, PQStat, pq_table
from bench.types import Categories

Severity = Literal["error", "warning", "note"]


class Fault(NamedTuple):
    """Severity and remedy of a fault.

    `error`: scores would be wrong or impossible; `warning`: unusual, but scored; `note`: for information.
    """

    severity: Severity
    remedy: str


AGAIN = "replace the file: download, unpack or write it again"
FAULTS: Mapping[str, Fault] = {
    # the JSON as a whole
    "json-unreadable": Fault("error", AGAIN),
    "json-format": Fault("error", "a COCO panoptic JSON has lists `images`, `annotations` and `categories`"),
    "category-malformed": Fault("error", "a category has an integer id, a name, and isthing 0 or 1"),
    "category-twice": Fault("error", "give every category an id of its own"),
    "category-name-twice": Fault("warning", "give every category a name of its own"),
    "category-not-in-space": Fault("error", "use `labels: from-file`, or the label space that the file was made for"),
    "image-malformed": Fault("error", "an entry of `images` has an id and a file_name inside the folder"),
    "image-twice": Fault("error", "keep one entry of the image"),
    "image-without-annotation": Fault("error", "annotate the image or take it out of `images`"),
    "annotation-malformed": Fault("error", "an annotation has image_id, file_name inside the folder, segments_info"),
    "annotation-twice": Fault("error", "keep one annotation of the image"),
    "annotation-without-image": Fault("error", "list the image in `images` or remove the annotation"),
    "file-name-unsafe": Fault("error", "name a file inside the folder, without .. or a leading /"),
    # files
    "png-missing": Fault("error", "unpack the PNGs again, or correct file_name"),
    "png-unreadable": Fault("error", AGAIN),
    "png-format": Fault("error", "write ids as 8 bit RGB: id = R + 256 G + 65536 B"),
    "png-shared": Fault("error", "give every annotation a PNG of its own"),
    "png-without-annotation": Fault("warning", "remove the PNG, or add its annotation"),
    "picture-missing": Fault("error", "unpack the pictures again, or correct file_name"),
    "picture-unreadable": Fault("error", AGAIN),
    "picture-turned": Fault("note", "nothing to do: it is read as viewers show it, and its label fits"),
    "picture-16-bit": Fault("note", "write `bits:` into the data set's YAML; without it they depend on all pictures"),
    "label-unturned": Fault("error", "turn the label as well, or remove the orientation from the picture"),
    "picture-twice": Fault("error", "rename one: image ids are unique in a split"),
    "picture-without-label": Fault("error", "unpack the annotations again, or remove the picture"),
    "picture-without-annotation": Fault("warning", "remove the picture, or annotate it"),
    "label-without-picture": Fault("error", "unpack the pictures again, or remove the label"),
    "label-unreadable": Fault("error", AGAIN),
    "label-format": Fault("error", "take *_gtFine_instanceIds.png, one channel of 16 bits; not the coloured labels"),
    # segments
    "segment-malformed": Fault("error", "a segment has integers id and category_id, iscrowd 0 or 1, area over 0"),
    "id-zero": Fault("error", "renumber it: 0 means void"),
    "id-duplicate": Fault("error", "give every segment of an image an id of its own"),
    "id-over-24-bit": Fault("error", "renumber it below 16777216"),
    "id-not-in-png": Fault("error", "remove the segment from the JSON, or write the PNG again"),
    "id-not-in-json": Fault("error", "list the segments in segments_info, or make the pixels void (0)"),
    "no-segments": Fault("error", "list the segments in segments_info, or make the pixels void (0)"),
    "area-wrong": Fault("error", "write the counted area: the `coco` protocol scores with the declared one"),
    "area-missing": Fault("warning", "write the area: panopticapi stops without it"),
    "category-undeclared": Fault("error", "declare it in `categories`, or map it to one that is"),
    # The panoptic format of COCO has one segment per stuff class and image (Kirillov et al., 2019).
    "stuff-several": Fault("warning", "a stuff class is one segment an image: merge them, or make it a thing"),
    "stuff-crowd": Fault("warning", "stuff has no crowds: set iscrowd to 0"),
    # panopticapi/evaluation.py keeps one crowd region per category and image, the last.
    "crowd-several": Fault("warning", "merge them: with the `coco` protocol only the last one is ignored"),
    "label-unknown": Fault("error", "map the label to one of this space, or to a void label"),
    "label-train-ids": Fault("error", "these look like train ids; take label ids (*_instanceIds.png)"),
    "stuff-instance": Fault("error", "stuff is the bare label id, below 1000"),
    # maps
    "size-declared": Fault("error", "correct height and width in `images`"),
    "size-picture": Fault("error", "label and picture do not belong together, or one was resized"),
    "map-transposed": Fault("error", "transpose the label: rows are y"),
    "much-void": Fault("warning", "predictions there are not counted as wrong; list a background as a stuff class"),
    "all-void": Fault("warning", "the image does not count; leave it out, or label it"),
    # all together
    "no-images": Fault("error", "the split is empty; unpack it again"),
    "self-score": Fault("error", "correct the other findings: truth scored against itself has PQ 1"),
    "class-absent": Fault("note", "their PQ is undefined and left out of means"),
}


@dataclass(frozen=True)
class Finding:
    """Fault at one place; `pixels` are the affected pixels, None if they cannot be counted."""

    fault: str
    what: str
    image_id: str | None = None
    file: str | None = None
    pixels: float | None = None

    @property
    def severity(self) -> Severity:
        return FAULTS[self.fault].severity

    def to_json(self) -> dict[str, Any]:
        return {
            "severity": self.severity, "fault": self.fault, "image_id": self.image_id, "file": self.file,
            "pixels": self.pixels, "what": self.what, "remedy": FAULTS[self.fault].remedy,
        }  # fmt: skip

    def at(self, image_id: str, file: object) -> Finding:
        """Return a copy with this image id, and this file if it has none."""
        return replace(self, image_id=image_id, file=self.file or str(file))


@dataclass(frozen=True)
class ImageCheck:
    """Result of one image: findings, pixels by category id and in all, PQ statistics of its truth against itself."""

    findings: tuple[Finding, ...]
    pixels: Mapping[int, int]
    tally: Mapping[int, PQStat]
    image_px: int = 0


@dataclass(frozen=True)
class CheckReport:
    """All findings, errors first; `pixels` is category name → pixels in the checked images."""

    dataset: str
    images: int
    findings: tuple[Finding, ...]
    pixels: Mapping[str, int]

    def count(self, severity: Severity) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset, "images": self.images,
            "errors": self.count("error"), "warnings": self.count("warning"),
            "findings": [finding.to_json() for finding in self.findings], "pixels": dict(self.pixels),
        }  # fmt: skip


@dataclass
class CheckAccumulator:
    """Accumulates the results of images. Each check needs a new one."""

    findings: list[Finding]
    pixels: dict[int, int]
    tallies: dict[int, PQStat]
    images: int = 0
    image_px: int = 0

    def add(self, image: ImageCheck) -> None:
        self.images += 1
        self.image_px += image.image_px
        self.findings += image.findings
        for category_id, pixels in image.pixels.items():
            self.pixels[category_id] = self.pixels.get(category_id, 0) + pixels
        for category_id, part in image.tally.items():
            self.tallies[category_id] = self.tallies.get(category_id, PQStat()) + part

    def report(self, dataset: str, categories: Categories) -> CheckReport:
        found = [*self.findings, *_self_score(self.tallies, categories), *_absent(self.pixels, categories)]
        found += self._void(categories)
        if self.images == 0 and not found:
            found.append(Finding("no-images", "there is no image to check"))
        order: list[Severity] = ["error", "warning", "note"]
        pixels = {category.name: self.pixels.get(category.id, 0) for category in categories}
        return CheckReport(
            dataset, self.images, tuple(sorted(found, key=lambda finding: order.index(finding.severity))), pixels
        )

    def _void(self, categories: Categories) -> Iterable[Finding]:
        """Yield a finding if more than MUCH_VOID of the pixels have no class."""
        void = self.image_px - sum(self.pixels.get(category.id, 0) for category in categories)
        if self.image_px and void > MUCH_VOID * self.image_px:
            yield Finding("much-void", f"{100 * void / self.image_px:.1f} % of the pixels have no class", pixels=void)


def _self_score(tallies: Mapping[int, PQStat], categories: Categories) -> Iterable[Finding]:
    known = {category_id: part for category_id, part in tallies.items() if category_id in categories.index_of}
    # Any fault that changes a score also keeps the truth from matching itself: a last check for unknown faults.
    for category, row in zip(categories, pq_table(known, categories).per_class, strict=True):
        if row.PQ is not None and row.PQ != 1:
            yield Finding("self-score", f"{category.name}: PQ of the truth against itself is {row.PQ:.6f}")


def _absent(pixels: Mapping[int, int], categories: Categories) -> Iterable[Finding]:
    names = [category.name for category in categories if not pixels.get(category.id)]
    if names:
        shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        yield Finding("class-absent", f"{len(names)} of {len(categories)} classes never occur: {shown}", pixels=0)
