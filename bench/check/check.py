"""`bench data check`: every fault of a data set, before a model sees it."""

from __future__ import annotations

from pathlib import Path

from bench.check.cityscapes import LABEL_SUFFIX, check_cityscapes
from bench.check.coco import check_coco
from bench.check.findings import CheckReport
from bench.check.samples import check_samples
from bench.check.walk import Walk
from bench.datasets.coco_panoptic import FROM_FILE, CocoFiles
from bench.datasets.dataset import DatasetSpec, coco_files, load_dataset, place_of, plain_spec
from bench.datasets.derived import read_derived
from bench.errors import naming
from bench.spaces import load_space


def check_dataset(name: str, root: Path | None = None, walk: Walk | None = None) -> CheckReport:
    """All that is wrong with a data set. A root that is not there is a DataError, all else a finding."""
    walk = walk or Walk()
    path, asked = place_of(name)
    if read_derived(path) is None:
        spec, split = plain_spec(path, asked)
        if spec.layout == "coco":
            with naming(path):
                return _coco(path.stem, spec, split, root, walk)
        folder = spec.ready(path.stem, root, split, walk.on_image)
        if spec.layout == "cityscapes" and _has_instance_ids(folder, split):
            with naming(path):
                space = load_space(spec.labels).counting(spec.count)
            return check_cityscapes(f"{path.stem}:{split}", folder, split, space, walk)
    return check_samples(load_dataset(name, root), walk)


def check_files(gt: Path, gt_dir: Path, walk: Walk | None = None) -> CheckReport:
    """Any COCO panoptic JSON and its PNGs, in the categories that it lists; without pictures."""
    return check_coco(gt.name, CocoFiles(gt, gt_dir, None), None, walk or Walk())


def _coco(name: str, spec: DatasetSpec, split: str, root: Path | None, walk: Walk) -> CheckReport:
    space = None if spec.labels == FROM_FILE else load_space(spec.labels).scored
    return check_coco(f"{name}:{split}", coco_files(name, spec, split, root, walk.on_image), space, walk)


def _has_instance_ids(root: Path, split: str) -> bool:
    """Else the labels are createPanopticImgs' JSON, or not there: the loader reads it, or says so."""
    return any((root / "gtFine" / split).glob(f"*/*{LABEL_SUFFIX}"))
