import numpy as np
import pytest

from bench.evaluation.damage import Damage, damage
from bench.types import Categories, Category, Panoptic, SegmentInfo

SPACE = Categories((Category(7, "road", False, (1, 2, 3)), Category(26, "car", True, (4, 5, 6))))
NONE = Damage(drop=0, split=0, merge=0, relabel=0, void=0, jitter=0)
TRUTH = Panoptic.from_ids(
    np.array([[7, 7, 7, 7, 7, 7], [7, 1, 1, 2, 2, 7], [7, 1, 1, 2, 2, 9], [7, 7, 7, 7, 0, 9]]),
    {7: SegmentInfo(7), 1: SegmentInfo(26), 2: SegmentInfo(26), 9: SegmentInfo(26, iscrowd=True)},
)


def damaged(seed: int = 0, **faults: float) -> Panoptic:
    chosen = Damage(**{**vars(NONE), **faults})  # type: ignore[arg-type]
    return damage(TRUTH, SPACE, chosen, np.random.default_rng(seed))


def cars(panoptic: Panoptic) -> int:
    return sum(s.category_id == 26 for s in panoptic.segments_info)


def test_without_faults_only_crowds_are_missing() -> None:
    made = damaged()
    crowd = TRUTH.id_map == 4
    assert not made.id_map[crowd].any()
    assert sorted(made.areas.tolist()) == sorted(TRUTH.areas[:3].tolist())


@pytest.mark.parametrize(
    ("faults", "count"), [({"drop": 1.0}, 0), ({"merge": 1.0}, 1), ({"split": 1.0}, 4), ({"relabel": 0.0}, 2)]
)
def test_each_fault_does_what_it_says(faults: dict[str, float], count: int) -> None:
    assert cars(damaged(**faults)) == count


def test_void_takes_pixels_away() -> None:
    assert (damaged(void=1.0).id_map > 0).sum() < (damaged().id_map > 0).sum()


def test_jitter_moves_masks() -> None:
    moved = [damaged(seed, jitter=1) for seed in range(8)]
    assert any(not np.array_equal(panoptic.id_map, damaged().id_map) for panoptic in moved)


def test_a_seed_gives_the_same_damage() -> None:
    some = {"drop": 0.3, "split": 0.3, "relabel": 0.3, "void": 0.5}
    assert np.array_equal(damaged(3, **some).id_map, damaged(3, **some).id_map)
