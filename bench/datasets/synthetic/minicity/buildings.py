"""Houses, walls and fences along the street, on boards of any direction."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity.camera import SKIP, Board, Pen
from bench.datasets.synthetic.minicity.canvas import Color, lit
from bench.datasets.synthetic.minicity.dice import Dice

Ints = npt.NDArray[np.int32]
SHOPS: tuple[Color, ...] = ((150, 36, 40), (36, 74, 120), (40, 96, 64), (196, 150, 40), (70, 50, 80))


@dataclass(frozen=True)
class House:
    """Appearance of one house; lengths in cm for textures, in metres for shapes."""

    color: Color
    height: float
    window: tuple[int, int, int]  # period, width, and height of a window
    storey: int
    brick: bool
    shop: Color | None
    roof: Color | None  # None: flat
    lights: int  # of 16 windows so many are lit
    seed: int
    night: bool


def make_house(dice: Dice, palette: tuple[Color, ...], storeys: tuple[int, int], night: bool) -> House:
    storey = dice.whole(280, 350)
    period = dice.whole(190, 330)
    return House(
        dice.jitter(dice.pick(palette), 14), dice.whole(*storeys) * storey / 100 + dice.real(0.3, 1.2),
        (period, period * dice.whole(35, 60) // 100, storey * dice.whole(42, 60) // 100), storey,
        dice.chance(0.3), dice.pick(SHOPS) if dice.chance(0.45) else None,
        dice.pick(((122, 62, 48), (84, 78, 80), (104, 72, 60))) if dice.chance(0.6) else None,
        dice.whole(4, 9) if night else dice.whole(0, 1), dice.whole(0, 999), night,
    )  # fmt: skip


def facade(pen: Pen, board: Board, width: float, house: House, tone: int) -> None:
    """Draw one face of a house; `tone` is its brightness in 1/16."""
    paint = [
        pen.canvas.add(pen.material(lit(color, tone), rough, 4, glow))
        for color, rough, glow in (
            (house.color, 6, 0), (lit(house.color, 14), 6, 0), (lit(house.color, 19), 4, 0),
            ((62, 74, 92), 8, 30), ((96, 112, 130), 8, 40), ((236, 204, 130), 6, 255 if house.night else 90),
            (house.shop or house.color, 4, 70), ((58, 44, 38), 5, 0),
        )
    ]  # fmt: skip

    def texture(u: Ints, v: Ints) -> Ints:
        return facade_texture(house, paint, u, v, round(100 * house.height))

    pen.textured(board, width, house.height, texture)


def facade_texture(house: House, paint: list[int], u: Ints, v: Ints, top: int) -> Ints:
    """Return the material numbers of a facade at u along and v above the ground, in cm."""
    wall, dark, light, glass, sheen, lamp, shop, door = paint
    period, wide, high = house.window
    floor, along = v // house.storey, u // period
    du, dv = u % period - (period - wide) // 2, v % house.storey - house.storey // 3
    lot = (along * 73 + floor * 151 + house.seed) * 37 % 16
    pane = np.where(lot < house.lights, lamp, np.where(dv * 3 > high + du, sheen, glass))
    out = np.full(np.broadcast_shapes(u.shape, v.shape), wall, dtype=np.int32)
    if house.brick:
        out = np.where((v % 30 < 6) | ((u + v // 30 * 25) % 50 < 5), dark, out)
    out = np.where((v % house.storey < 14) & (floor > 0), light, out)
    framed = (du >= -10) & (du < wide + 10) & (dv >= -10) & (dv < high + 10)
    out = np.where(framed, light, out)
    out = np.where((du >= 0) & (du < wide) & (dv >= 0) & (dv < high) & (np.abs(du - wide // 2) > 4), pane, out)
    if house.shop is not None:
        window = np.where((u % 300 > 14) & (v > 40), np.where(lot < house.lights + 2, lamp, glass), dark)
        out = np.where(v < 230, window, np.where(v < 290, shop, out))
    out = np.where((u % 1100 > 420) & (u % 1100 < 540) & (v < 225), door, out)
    return np.where(v > top - 30, light, out)


def row_house(pen: Pen, x: float, z0: float, z1: float, side: int, house: House, sun: int) -> None:
    """Draw a house along the street: roof, the gable that faces the camera, and the facade."""
    deep = x + side * 9.0
    if house.roof is not None:
        ridge = house.height + 2.2
        slope = [
            (x, house.height, z0),
            (x, house.height, z1),
            (x + side * 3.5, ridge, z1),
            (x + side * 3.5, ridge, z0),
        ]
        pen.fill(slope, house.roof, 8, 6)
        gable = [(x, house.height, z0), (deep, house.height, z0), (x + side * 4.5, ridge, z0)]
        pen.fill(gable, lit(house.color, 14), 6, 4)
    facade(pen, Board(x, z0, float(side), 0.0), 9.0, house, 13 if sun == side else 15)
    facade(pen, Board(x, z0, 0.0, 1.0), z1 - z0, house, 18 if sun == -side else 12)


def wall(pen: Pen, board: Board, length: float, height: float, dice: Dice) -> None:
    kind = dice.pick(("concrete", "brick", "stone"))
    base = dice.jitter({"concrete": (176, 172, 164), "brick": (158, 88, 68), "stone": (148, 138, 120)}[kind], 12)
    coping, plain, dark, odd = (pen.canvas.add(pen.material(lit(base, tone), 7, 7)) for tone in (20, 16, 12, 14))
    paint = pen.canvas.add(pen.material(dice.pick(((60, 90, 170), (180, 60, 120), (60, 150, 90))), 4))
    scrawl = dice.whole(0, 9)

    def texture(u: Ints, v: Ints) -> Ints:
        if kind == "concrete":
            out = np.where(u % 240 < 12, dark, np.where(u // 240 % 2 == 0, plain, odd))
            graffiti = (u // 240 % 4 == scrawl) & (v > 40) & (v < 150) & ((u * 3 // 4 + v) % 50 < 16)
            out = np.where(graffiti, paint, out)
        else:
            row, size = (24, 56) if kind == "brick" else (40, 74)
            offset = u + v // row * (size // 2)
            out = np.where((v % row < 5) | (offset % size < 6), dark, np.where(offset // size % 3 == 0, odd, plain))
        return np.where(v > round(100 * height) - 18, coping, out)

    pen.textured(board, length, height, texture)


def fence(pen: Pen, board: Board, length: float, height: float, dice: Dice) -> None:
    """Draw a fence of pickets, railings or wire mesh; its gaps are labelled fence too."""
    kind = dice.pick(("picket", "railing", "mesh"))
    options = {"picket": ((206, 200, 188), (132, 92, 58)), "railing": ((44, 52, 50), (40, 70, 56)),
               "mesh": ((124, 134, 128), (70, 104, 78))}  # fmt: skip
    base = dice.jitter(dice.pick(options[kind]), 10)
    corners = [board.at(p) for p in ((0.0, 0.0), (length, 0.0), (length, height), (0.0, height))]
    pen.canvas.veil(pen.mask(corners), pen.material(lit(base, 11), 6, 4), 90 if kind == "mesh" else 60)
    bar, post = (pen.canvas.add(pen.material(lit(base, tone), 4)) for tone in (16, 13))
    pitch, thick = {"picket": (24, 13), "railing": (26, 7), "mesh": (22, 4)}[kind]
    top = round(100 * height)

    def texture(u: Ints, v: Ints) -> Ints:
        upright = (u % pitch < thick) if kind != "mesh" else ((u + v) % pitch < thick) | ((u - v) % pitch < thick)
        rails = (np.abs(v - top * 4 // 5) < 6) | (np.abs(v - top // 5) < 6) | (v > top - 7)
        return np.where(u % 250 < 14, post, np.where(upright | rails, bar, SKIP))

    pen.textured(board, length, height, texture)


def guard_rail(pen: Pen, board: Board, length: float) -> None:
    """Draw a crash barrier (ignored in evaluation)."""
    for step in range(int(length / 2)):
        pen.rect(board, step * 2.0, 0.0, step * 2.0 + 0.12, 0.7, (96, 98, 100))
    pen.rect(board, 0.0, 0.42, length, 0.76, (168, 170, 172))
    pen.rect(board, 0.0, 0.55, length, 0.62, (120, 122, 126))
