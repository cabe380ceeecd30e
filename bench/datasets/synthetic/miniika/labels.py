"""The twelve reduced classes of ika: colours, and the map from Cityscapes labels.

Source: convert_cityscapes_to_ika_reduced.xml of ika-rwth-aachen/acdc; the colour of a class is its first entry.
"""

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity import world as city

NONE = 11
COLORS = np.array(
    (
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (153, 153, 153), (107, 142, 35), (70, 130, 180),
        (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 0, 0),
    ),
    dtype=np.uint8,
)  # fmt: skip
CLASS_OF = {  # label id of Cityscapes -> class; all others, trains and parking bays among them, are none
    city.ROAD: 0, city.SIDEWALK: 1, city.BUILDING: 2, city.WALL: 2, city.FENCE: 2, city.GUARD_RAIL: 2,
    city.POLE: 3, city.TRAFFIC_LIGHT: 3, city.TRAFFIC_SIGN: 3, city.VEGETATION: 4, city.TERRAIN: 4, city.SKY: 5,
    city.PERSON: 6, city.RIDER: 7, city.MOTORCYCLE: 7, city.BICYCLE: 7, city.CAR: 8, city.TRUCK: 9, city.BUS: 10,
}  # fmt: skip


def color_labels(instance_ids: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Convert instanceIds (H, W) to colours (H, W, 3) of ika's classes."""
    table = np.full(1000, NONE, dtype=np.uint8)
    table[list(CLASS_OF)] = list(CLASS_OF.values())
    labels = np.where(instance_ids >= 1000, instance_ids // 1000, instance_ids)
    return COLORS[table[labels]]
