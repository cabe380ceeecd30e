"""State shared by all drawing of one scene, and the label ids of Cityscapes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity.camera import Camera, Pen
from bench.datasets.synthetic.minicity.canvas import Canvas
from bench.datasets.synthetic.minicity.dice import Dice

# Label ids of cityscapesScripts, helpers/labels.py.
EGO_VEHICLE, BORDER, OUT_OF_ROI, STATIC, DYNAMIC = 1, 2, 3, 4, 5
ROAD, SIDEWALK, PARKING, BUILDING, WALL, FENCE, GUARD_RAIL = 7, 8, 9, 11, 12, 13, 14
POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN, VEGETATION, TERRAIN, SKY = 17, 19, 20, 21, 22, 23
PERSON, RIDER, CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE = 24, 25, 26, 27, 28, 31, 32, 33
STOP_SIGN = 60  # not a label of Cityscapes: apart from other signs only where signals are
THINGS = (PERSON, RIDER, CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE)
VOID = (EGO_VEHICLE, BORDER, OUT_OF_ROI, STATIC, DYNAMIC, PARKING, GUARD_RAIL)

Item = tuple[float, Callable[[], None]]  # depth in metres, and what draws it


@dataclass(frozen=True)
class World:
    """Canvas, camera and random numbers of one scene."""

    canvas: Canvas
    camera: Camera
    dice: Dice
    ragged: npt.NDArray[np.int64]  # (H, W) how far leaves tear the edge of a crown, in 1/256 of its radius
    signals_apart: bool = False  # traffic lights and stop signs as instances, as in COCO

    def pen(self, label: int, depth_m: float) -> Pen:
        """Return a pen for stuff, void and groups: the bare label as id."""
        return Pen(self.canvas, self.camera, label, depth_m)

    def thing(self, label: int, depth_m: float) -> Pen:
        """Return a pen for a new instance of a thing class."""
        return Pen(self.canvas, self.camera, self.canvas.instance(label), depth_m)

    def light(self, depth_m: float) -> Pen:
        """Return a pen for the next head of a traffic light."""
        return (self.thing if self.signals_apart else self.pen)(TRAFFIC_LIGHT, depth_m)

    def stop_sign(self, depth_m: float) -> Pen:
        return self.thing(STOP_SIGN, depth_m) if self.signals_apart else self.pen(TRAFFIC_SIGN, depth_m)


def coarse(dice: Dice, size: tuple[int, int], cell: int, low: int, high: int) -> npt.NDArray[np.int64]:
    """Return random integers low..high, one a cell of `cell` px, as an array of `size` (H, W)."""
    height, width = size
    rows, columns = -(-height // cell), -(-width // cell)
    cells = dice.generator.integers(low, high + 1, (rows, columns))
    return cells.repeat(cell, 0).repeat(cell, 1)[:height, :width]
