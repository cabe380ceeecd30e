"""Final labels: tiny remainders become void, and instances are renumbered."""

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity.world import DYNAMIC, STATIC

SMALLEST_THING_PX, SMALLEST_STUFF_PX = 12, 8


def finish_labels(ids: npt.NDArray[np.int64], thing_px: int = SMALLEST_THING_PX,
                  stuff_px: int = SMALLEST_STUFF_PX) -> npt.NDArray[np.uint16]:  # fmt: skip
    """Convert painted ids (H, W) to instanceIds: small areas become void, instances count from 0 in each class."""
    areas = np.bincount(ids.ravel())
    final = np.zeros(len(areas), dtype=np.uint16)
    numbers: dict[int, int] = {}
    for ident in np.flatnonzero(areas).tolist():
        area = areas[ident]
        if ident < 1000:
            final[ident] = ident if area >= stuff_px else STATIC
        elif area < thing_px:
            final[ident] = DYNAMIC
        else:
            label = ident // 1000
            final[ident] = label * 1000 + numbers.setdefault(label, 0)
            numbers[label] += 1
    return final[ids]
