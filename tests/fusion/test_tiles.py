"""By tiles, every pixel is that of the plain rule: on drawn logits, and on those of the shipped models."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bench.fusion import pixels, semantic  # noqa: E402
from bench.fusion.assignment import PixelAssignment, assign_by_tiles, assign_on_device, assign_pixels  # noqa: E402
from bench.fusion.logits import ImageGeometry, class_probabilities, probabilities, single_threaded, to_target  # noqa: E402
from bench.fusion.pixels import probabilities_at  # noqa: E402
from bench.fusion.presets import PRESETS  # noqa: E402
from bench.fusion.queries import postprocess  # noqa: E402
from bench.fusion.semantic import plain_semantic, tiled_semantic  # noqa: E402
from bench.fusion.tiles import MaskTiles  # noqa: E402
from bench.types import Categories, Category  # noqa: E402

# (h, w) of the logits, the padded input, the image, the result: up, down, cropped, twice resized, not at all, thin
GEOMETRIES = [
    ((16, 20), ImageGeometry((64, 80), (64, 80), (64, 80))),
    ((24, 32), ImageGeometry((96, 128), (96, 128), (96, 128))),
    ((20, 28), ImageGeometry((80, 112), (75, 100), (75, 100))),
    ((20, 28), ImageGeometry((80, 112), (75, 101), (133, 187))),
    ((37, 53), ImageGeometry((128, 160), (101, 149), (40, 61))),
    ((37, 53), ImageGeometry((37, 53), (37, 53), (37, 53))),
    ((3, 40), ImageGeometry((12, 160), (9, 160), (7, 140))),
    ((1, 1), ImageGeometry((32, 32), (20, 32), (20, 33))),
]


@pytest.fixture(autouse=True)
def by_tiles_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tiles even where whole maps are faster, as they are for maps as small as these."""
    monkeypatch.setattr("bench.fusion.assignment._TILE", 0)
    with single_threaded():
        yield


def masks_of(kind: str, queries: int, h: int, w: int, random: Any) -> Any:
    """(Q, h, w) logits: cells of a scene with soft edges and noise, or hard cases of float32."""
    coarse = torch.randn(queries, 1, max(1, h // 6), max(1, w // 6), generator=random)
    smooth = torch.nn.functional.interpolate(6 * coarse - 2, (h, w), mode="bilinear")[:, 0]
    if kind == "scene":
        return smooth + 0.3 * torch.randn(queries, h, w, generator=random)
    if kind == "noise":
        return 5 * torch.randn(queries, h, w, generator=random)
    if kind == "ties":  # few values, and each mask twice
        masks = (smooth / 4).round() * 4
        masks[queries // 2 : 2 * (queries // 2)] = masks[: queries // 2].clone()
        return masks
    if kind == "constant":
        return torch.randint(-2, 3, (queries, 1, 1), generator=random).float().expand(-1, h, w).clone()
    if kind == "saturated":
        return smooth.sign() * 40
    assert kind == "vast"  # sigmoids below the least float32
    return smooth * 1e3


def classes_of(kind: str, queries: int, classes: int, random: Any) -> Any:
    logits = torch.randn(queries, classes + 1, generator=random)
    logits[torch.arange(queries), torch.randint(classes + 1, (queries,), generator=random)] += 6
    if kind == "ties":
        logits[queries // 2 : 2 * (queries // 2)] = logits[: queries // 2].flip(1).clone()
    return logits


def same(ours: PixelAssignment, plain: PixelAssignment) -> None:
    assert torch.equal(ours.code.int(), plain.code.int())
    assert ours.area.tolist() == plain.area.tolist()
    assert ours.extent == plain.extent


@pytest.mark.parametrize("kind", ["scene", "noise", "ties", "constant", "saturated", "vast"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_tiles_move_no_pixel(kind: str, geometry: tuple[tuple[int, int], ImageGeometry]) -> None:
    """Six draws each, with 1 to 40 queries and 1 to 30 classes."""
    (h, w), sizes = geometry
    for seed in range(6):
        random = torch.Generator().manual_seed(seed)
        queries = (1, 2, 5, 9, 17, 40)[seed]
        classes = int(torch.randint(1, 31, (1,), generator=random))
        masks = masks_of(kind, queries, h, w, random)
        known = class_probabilities(classes_of(kind, queries, classes, random))
        tiles = MaskTiles(masks, sizes)
        assert torch.equal(tiled_semantic(known, tiles)[0], plain_semantic(known, masks, sizes))

        scores = (torch.randint(1, 9, (queries,), generator=random) / 8).float()
        for threshold in (0.5, 0.3):
            ours, _ = assign_by_tiles(tiles, scores, threshold)
            for assign in (assign_pixels, assign_on_device):
                plain = assign(probabilities(masks, sizes), scores, sizes.target_size, threshold, weigh_first=False)
                same(ours, plain)


def test_tiles_decide_most_pixels_of_a_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain rule is not what makes them equal: it is used for hardly a pixel."""
    (h, w), sizes = (64, 96), ImageGeometry((256, 384), (250, 380), (300, 456))
    random = torch.Generator().manual_seed(1)
    masks = masks_of("scene", 30, h, w, random)
    known = class_probabilities(classes_of("scene", 30, 19, random))
    plain = plain_semantic(known, masks, sizes)
    scores = known[:, :-1].amax(1)
    assigned = assign_pixels(probabilities(masks, sizes), scores, sizes.target_size, 0.5, weigh_first=False)
    for limit in (pixels.MOST_EXACT, 1.0):
        monkeypatch.setattr(semantic, "MOST_EXACT", limit)
        index, exact = tiled_semantic(known, MaskTiles(masks, sizes))
        assert torch.equal(index, plain)
        assert 0 < exact < 0.01
    ours, exact = assign_by_tiles(MaskTiles(masks, sizes), scores, 0.5)
    same(ours, assigned)
    assert 0 < exact < 0.01


def test_few_queries_with_many_borders_are_assigned_by_whole_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    (h, w), sizes = GEOMETRIES[1]
    masks = masks_of("noise", 3, h, w, torch.Generator().manual_seed(0))
    monkeypatch.setattr("bench.fusion.assignment._TILE", 70_000)
    ours, exact = assign_by_tiles(MaskTiles(masks, sizes), torch.full((3,), 0.9), 0.5)
    assert exact == 1
    same(ours, assign_pixels(probabilities(masks, sizes), torch.full((3,), 0.9), (96, 128), 0.5, weigh_first=False))


@pytest.mark.parametrize("kind", ["ties", "constant", "saturated"])
def test_ties_are_broken_pixel_by_pixel_as_in_whole_maps(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With single pixels computed however many they are."""
    monkeypatch.setattr(semantic, "MOST_EXACT", 1.0)
    monkeypatch.setattr("bench.fusion.assignment.MOST_EXACT", 1.0)
    for (h, w), sizes in GEOMETRIES[:5]:
        random = torch.Generator().manual_seed(7)
        masks = masks_of(kind, 9, h, w, random)
        known = class_probabilities(classes_of(kind, 9, 5, random))
        index, exact = tiled_semantic(known, MaskTiles(masks, sizes))
        assert torch.equal(index, plain_semantic(known, masks, sizes))
        scores = torch.full((9,), 0.9)
        ours, share = assign_by_tiles(MaskTiles(masks, sizes), scores, 0.5)
        same(ours, assign_pixels(probabilities(masks, sizes), scores, sizes.target_size, 0.5, weigh_first=False))
        assert exact < 1 and share > 0


@pytest.mark.parametrize(("size", "geometry"), GEOMETRIES)
def test_single_pixels_equal_whole_maps_in_every_bit(size: tuple[int, int], geometry: ImageGeometry) -> None:
    masks = 9 * torch.randn(5, *size, generator=torch.Generator().manual_seed(0))
    height, width = geometry.target_size
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    single = probabilities_at(masks, geometry, rows.flatten(), columns.flatten())
    whole = torch.stack([to_target(mask, geometry).sigmoid().flatten() for mask in masks])
    assert torch.equal(single, whole)


def test_bounds_hold_and_values_are_the_plain_ones_within_the_error() -> None:
    for (h, w), sizes in GEOMETRIES:
        masks = 9 * torch.randn(4, h, w, generator=torch.Generator().manual_seed(0))
        tiles = MaskTiles(masks, sizes)
        whole = torch.stack([to_target(mask, sizes).sigmoid() for mask in masks])
        assert int(tiles.areas.sum()) == sizes.target_size[0] * sizes.target_size[1]
        for tile, error in enumerate(tiles.error.tolist()):
            found = whole[(slice(None), *tiles.window(tile))].flatten(1)
            assert (found >= tiles.low[:, tile, None].sigmoid() * (1 - error)).all()
            assert (found <= tiles.high[:, tile, None].sigmoid() * (1 + error)).all()
            close = (tiles.probabilities(tile, torch.arange(4)) - found).abs() <= error * found
            assert close.all()


@pytest.mark.parametrize("preset", ["mask2former", "maskformer", "detr", "hf", "hf-direct"])
def test_whole_maps_on_a_device_are_those_of_the_cpu(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried on the CPU, with masks by threes and classes by fours, as where memory is short."""
    (h, w), sizes = GEOMETRIES[3]
    random = torch.Generator().manual_seed(5)
    logits = classes_of("scene", 17, 9, random), masks_of("scene", 17, h, w, random).bfloat16()
    categories = Categories(tuple(Category(2 * i + 1, str(i), i < 5, (0, 0, 0)) for i in range(9)))
    spec = replace(PRESETS[preset], score_threshold=0.3, overlap_threshold=0.1)
    on_cpu = postprocess(*logits, sizes, categories, spec)
    for module in ("logits", "detr"):
        monkeypatch.setattr(f"bench.fusion.{module}.at_once", lambda device, numbers: 3)
    monkeypatch.setattr(semantic, "_classes_at_once", lambda device, classes, pixels: 4)
    on_device = postprocess(*logits, sizes, categories, spec, where="device")
    np.testing.assert_array_equal(on_device.panoptic.id_map, on_cpu.panoptic.id_map)
    np.testing.assert_array_equal(on_device.semantic, on_cpu.semantic)
    assert on_device.panoptic.segments_info == on_cpu.panoptic.segments_info != ()
    assert postprocess(*logits, sizes, categories, spec, semantic=False).semantic is None


@pytest.mark.parametrize("model", ["mask2former", "maskformer", "detr"])
def test_the_maps_of_a_shipped_model_are_the_plain_ones(model: str) -> None:
    pytest.importorskip("transformers")
    from bench.datasets.registry import load_dataset
    from bench.models.loading import open_model
    from bench.models.resolve import resolve_model

    data = load_dataset("minicity:demo").limited(1)
    spec = resolve_model(f"{model}/minicity/tiny", data.name, base=data.base, space=data.space)
    with open_model(spec, "cpu") as adapter:
        output = adapter.infer([adapter.preprocess(data.samples[0].read_image())])[0]
    known = class_probabilities(output.class_logits)
    for target in ((256, 512), (301, 611)):
        sizes = ImageGeometry(output.padded_size, output.image_size, target)
        index, exact = tiled_semantic(known, MaskTiles(output.mask_logits, sizes))
        assert torch.equal(index, plain_semantic(known, output.mask_logits, sizes))
        assert exact < 0.01
        scores = known[:, :-1].amax(1)
        kept = scores > spec.fusion.score_threshold
        masks = output.mask_logits[kept]
        ours, exact = assign_by_tiles(MaskTiles(masks, sizes), scores[kept], 0.5)
        same(ours, assign_pixels(probabilities(masks, sizes), scores[kept], target, 0.5, weigh_first=False))
        assert exact < 0.01
    assert len(np.unique(index)) > 1
