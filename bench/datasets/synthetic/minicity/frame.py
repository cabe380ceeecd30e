"""Bonnet of the camera's own car and the border from rectification, both void."""

import numpy as np

from bench.datasets.synthetic.minicity import raster
from bench.datasets.synthetic.minicity.canvas import Material, lit
from bench.datasets.synthetic.minicity.world import BORDER, EGO_VEHICLE, OUT_OF_ROI, World


def draw_ego_vehicle(world: World) -> None:
    dice, canvas = world.dice, world.canvas
    height, width = canvas.size
    top, color = height - dice.whole(10, 24), dice.jitter(dice.pick(((44, 46, 52), (110, 112, 118), (60, 30, 34))), 8)
    body = canvas.add(Material(color, EGO_VEHICLE, 2.0, 3, 3))
    shine = canvas.add(Material(lit(color, 22), EGO_VEHICLE, 2.0, 2, 3))
    middle = (width // 2 + dice.whole(-20, 20)) * 16
    for material, drop in ((shine, 0), (body, 3)):
        at = middle, (top + drop + 60) * 16
        canvas.paint(raster.ellipse(*at, 380 * 16, 60 * 16, height, width), material)


def draw_border(world: World) -> None:
    """Draw the rectification border at the sides and the top, and out-of-roi rows at the bottom."""
    dice, canvas = world.dice, world.canvas
    height, width = canvas.size
    black = canvas.add(Material((0, 0, 0), BORDER, 1.0, 0))
    below = canvas.add(Material((0, 0, 0), OUT_OF_ROI, 1.0, 0))
    rows = np.arange(height)
    # Rectification bends the sides of the image inwards.
    bow = (rows - height // 2) ** 2 * dice.whole(1, 4) // (height * height // 4)
    for row, edge in zip(rows.tolist(), bow.tolist(), strict=True):
        canvas.plane[row, : edge + 1] = black
        canvas.plane[row, width - 1 - edge :] = black
    canvas.plane[: dice.whole(0, 1)] = black
    canvas.plane[height - dice.whole(1, 2) :] = below
