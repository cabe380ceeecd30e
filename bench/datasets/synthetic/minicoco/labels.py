"""Mapping of the world's labels to COCO's categories and segments.

Riders are person. Traffic lights and stop signs are things, one instance a head. Walls of any kind are
wall-other-merged, hedges and bushes tree-merged, dry earth beside the sidewalk grass-merged, guard rails fence-merged,
parking bays road. COCO has no class for poles, other signs, bins and prams: they are void.
"""

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity import world as city
from bench.types import Panoptic, SegmentInfo

CATEGORY_OF = {  # label of the world -> category id of COCO
    city.ROAD: 149, city.PARKING: 149, city.SIDEWALK: 191, city.BUILDING: 197, city.WALL: 199, city.FENCE: 185,
    city.GUARD_RAIL: 185, city.VEGETATION: 184, city.TERRAIN: 193, city.SKY: 187, city.PERSON: 1, city.RIDER: 1,
    city.BICYCLE: 2, city.CAR: 3, city.MOTORCYCLE: 4, city.BUS: 6, city.TRAIN: 7, city.TRUCK: 8,
    city.TRAFFIC_LIGHT: 10, city.STOP_SIGN: 13,
}  # fmt: skip
STUFF = 100  # category ids from here on are stuff, as far as this world goes


def panoptic_of(instance_ids: npt.NDArray[np.uint16]) -> Panoptic:
    """Convert ids (H, W) of the world to a Panoptic: one segment a stuff category, groups of things are crowds."""
    table = np.zeros(int(instance_ids.max()) + 1, dtype=np.int32)
    infos: list[SegmentInfo] = []
    stuff: dict[int, int] = {}  # category id -> position + 1
    for ident in np.unique(instance_ids).tolist():
        category = CATEGORY_OF.get(ident // 1000 if ident >= 1000 else ident)
        if category is None:
            continue
        if category < STUFF or category not in stuff:
            source = segment_id(category, len(infos))
            infos.append(SegmentInfo(category, ident < 1000 and category < STUFF, source_id=source))
            stuff[category] = len(infos)
        table[ident] = stuff[category]
    return Panoptic(table[instance_ids], tuple(infos))


def segment_id(category: int, position: int) -> int:
    """Return a 24-bit id, unique for positions below 256; consecutive positions get very different colours."""
    return category + 256 * (position * 89 % 256) + 65536 * (position * 37 % 255 + 1)
