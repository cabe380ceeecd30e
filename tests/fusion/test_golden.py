"""Every pixel and segment of the arrays that the authors' own code made of synthetic logits."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bench.fusion.logits import ImageGeometry  # noqa: E402
from bench.fusion.presets import PRESETS  # noqa: E402
from bench.fusion.queries import Where, postprocess  # noqa: E402
from bench.types import Categories, Category  # noqa: E402

QUERY_CASES = [
    "hollow",
    "k0_empty",
    "k15_big",
    "k15_grid",
    "k1_single",
    "k5_basic",
    "noise",
    "odd_sizes",
    "overlap",
    "refused_stuff",
    "saturated",
    "stuff_merge",
    "thing_repeat",
    "threshold_edge",
    "ties",
    "tiny",
    "void_half",
]
DETR_CASES = [
    "all_removed",
    "k0_empty",
    "k15_grid",
    "k1_single",
    "k5_basic",
    "noise",
    "odd_sizes",
    "padded_batch",
    "stuff_dup_apart",
    "stuff_dup_second_round",
    "stuff_dup_three",
    "stuff_dup_touching",
    "thing_repeat",
    "threshold_edge",
    "ties",
    "tiny_down",
    "tiny_exact",
]
CASES = [(rule, case) for rule in ("mask2former", "maskformer") for case in QUERY_CASES]


@pytest.fixture(autouse=True)
def several_masks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device: masks by blocks of three. And tiles on the CPU, for small maps too."""
    monkeypatch.setattr("bench.fusion.assignment._TILE", 0)
    for module in ("logits", "detr"):
        monkeypatch.setattr(f"bench.fusion.{module}.at_once", lambda device, numbers: 3)


def load(shared_data: Path, rule: str, case: str) -> tuple[dict[str, Any], dict[str, Any]]:
    with np.load(shared_data / "fusion_golden" / rule / f"{case}.npz") as golden:
        arrays = {name: golden[name] for name in golden.files}
    return json.loads(str(arrays.pop("params"))), arrays


def frame_of(params: dict[str, Any]) -> ImageGeometry:
    return ImageGeometry(*(tuple(params[key]) for key in ("padded_size", "image_size", "target_size")))


def categories_of(params: dict[str, Any]) -> Categories:
    """Ids that differ from the class indices, so that a mix-up shows."""
    things = set(params["thing_ids"])
    names = range(params["num_classes"])
    return Categories(tuple(Category(10 + 3 * i, str(i), i in things, (i, i, i)) for i in names))


@pytest.mark.parametrize("where", ["cpu", "device"])
@pytest.mark.parametrize(("rule", "case"), CASES + [("detr", case) for case in DETR_CASES])
def test_fuse_equals_the_authors_code(shared_data: Path, rule: str, case: str, where: Where) -> None:
    """On the CPU by tiles, and as on a device: by whole maps, several masks at once."""
    params, golden = load(shared_data, rule, case)
    score = params["threshold"] if rule == "detr" else params["object_mask_threshold"]
    overlap = params.get("overlap_threshold", 0.0)
    spec = replace(PRESETS[rule], score_threshold=score, overlap_threshold=overlap)
    categories = categories_of(params)
    logits = torch.from_numpy(golden["class_logits"]), torch.from_numpy(golden["mask_logits"])

    ours = postprocess(*logits, frame_of(params), categories, spec, semantic=False, where=where).panoptic

    infos = ours.segments_info
    assert [info.source_id for info in infos] == golden["segment_id"].tolist()
    classes = [categories.index_of[info.category_id] for info in infos]
    assert classes == golden["segment_category"].tolist()
    assert categories.isthing[classes].tolist() == golden["segment_isthing"].tolist()
    assert ours.areas.tolist() == golden["segment_area"].tolist()
    void = -1 if rule == "detr" and infos else 0
    source = np.array([void] + [info.source_id for info in infos], dtype=np.int32)[ours.id_map]
    np.testing.assert_array_equal(source, golden["id_map"])


@pytest.mark.parametrize("rule", ["mask2former", "maskformer", "detr"])
def test_a_preset_has_the_authors_thresholds(shared_data: Path, rule: str) -> None:
    params, _ = load(shared_data, rule, "k5_basic")
    authors = params.get("threshold", params.get("object_mask_threshold")), params.get("overlap_threshold", 0.0)
    assert (PRESETS[rule].score_threshold, PRESETS[rule].overlap_threshold) == authors


@pytest.mark.parametrize("where", ["cpu", "device"])
@pytest.mark.parametrize(("rule", "case"), CASES)
def test_semantic_equals_the_authors_code(shared_data: Path, rule: str, case: str, where: Where) -> None:
    params, golden = load(shared_data, rule, case)
    categories = categories_of(params)
    logits = torch.from_numpy(golden["class_logits"]), torch.from_numpy(golden["mask_logits"])

    ours = postprocess(*logits, frame_of(params), categories, PRESETS[rule], where=where).semantic
    assert ours is not None

    sure = ~golden["semantic_near_tie"]
    expected = np.array(categories.ids, dtype=np.int32)[golden["semantic"]]
    assert sure.mean() > 0.5
    np.testing.assert_array_equal(ours[sure], expected[sure])
