"""Rendering of miniika: split and index to image and coloured labels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity.camera import Camera
from bench.datasets.synthetic.minicity.canvas import Canvas
from bench.datasets.synthetic.minicity.city import City, plan_street
from bench.datasets.synthetic.minicity.dice import Dice
from bench.datasets.synthetic.minicity.labels import finish_labels
from bench.datasets.synthetic.minicity.scene import draw_street
from bench.datasets.synthetic.minicity.weather import depth_plane, develop
from bench.datasets.synthetic.minicity.world import World, coarse
from bench.datasets.synthetic.miniika.labels import color_labels
from bench.datasets.synthetic.miniika.sensor import expose_again

VERSION = 1  # raised when any pixel changes
SPLITS = {"val": 200, "demo": 50}
SEEDS = {"val": 411, "demo": 512}
SIZE = 256, 416  # height and width in px
WEATHERS = ("day", "day", "day", "overcast", "overcast", "dusk", "dusk", "fog", "rain")
TEAL, LEMON, PLUM, LIME = (110, 150, 152), (222, 206, 120), (136, 98, 118), (170, 186, 120)
CHALK, SALMON, INK, RUST = (226, 220, 206), (220, 150, 118), (86, 92, 108), (160, 100, 60)
TOWNS = (
    City((TEAL, CHALK, RUST, SALMON), (240, 240, 236), (2, 5), (70, 130, 60), 0.75),
    City((LEMON, PLUM, CHALK, INK), (150, 40, 90), (3, 6), (40, 90, 160), 0.5),
    City((LIME, SALMON, INK, CHALK), (60, 70, 84), (2, 4), (236, 200, 60), 0.85),
)


@dataclass(frozen=True, eq=False)
class Frame:
    """RGB image and labels as colours, both (256, 416, 3)."""

    rgb: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    stem: str


def stem(split: str, index: int) -> str:
    return f"{list(SPLITS).index(split) + 1}_frame_{index:06d}"


def render(split: str, index: int) -> Frame:
    """Render the frame of a split at an index, the same on every machine."""
    dice = Dice(VERSION, SEEDS[split], index)
    town, weather = dice.pick(TOWNS), dice.pick(WEATHERS)
    street = plan_street(dice, town, weather)
    camera = Camera(dice.real(235.0, 290.0), dice.real(186.0, 230.0), dice.real(84.0, 122.0),
                    dice.real(1.9, 2.5), dice.real(-0.0016, 0.0016) if dice.chance(0.5) else 0.0)  # fmt: skip
    world = World(Canvas(SIZE), camera, dice, coarse(dice, SIZE, 3, -110, 90))
    draw_street(world, street, town, weather)
    rgb = expose_again(develop(world, weather), depth_plane(world), camera.horizon_px, weather, dice)
    ids = np.array([m.ident for m in world.canvas.materials], dtype=np.int64)[world.canvas.plane]
    return Frame(rgb, color_labels(finish_labels(ids)), stem(split, index))
