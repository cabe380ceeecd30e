"""People, riders, bicycles and motorcycles, drawn on boards."""

from dataclasses import replace

from bench.datasets.synthetic.minicity import raster
from bench.datasets.synthetic.minicity.camera import Board, Pen
from bench.datasets.synthetic.minicity.canvas import Color, lit
from bench.datasets.synthetic.minicity.dice import Dice

SKIN: tuple[Color, ...] = ((226, 184, 154), (198, 146, 112), (142, 96, 70), (96, 64, 48))
HAIR: tuple[Color, ...] = ((40, 30, 26), (92, 62, 40), (168, 132, 80), (150, 148, 146), (20, 20, 22))
SHIRTS: tuple[Color, ...] = (
    (176, 40, 48), (44, 72, 140), (214, 210, 204), (40, 42, 48), (210, 164, 52), (64, 120, 84), (132, 76, 138),
    (96, 110, 124),
)  # fmt: skip
TROUSERS: tuple[Color, ...] = ((36, 44, 72), (34, 34, 38), (96, 88, 76), (66, 74, 96), (120, 104, 84))
HELMETS: tuple[Color, ...] = ((226, 226, 226), (200, 40, 40), (240, 200, 40), (40, 90, 180), (30, 30, 34))


def draw_person(pen: Pen, dice: Dice, x: float, z: float, rain: bool = False) -> None:
    """Draw a standing or walking person; u is 0 at the feet, sizes are for 1.75 m and are scaled."""
    tall = dice.real(1.02, 1.3) if dice.chance(0.12) else dice.real(1.58, 1.9)
    k = tall / 1.75
    board = Board(x, z, k if dice.chance(0.5) else -k, 0.0)
    shirt, legs, skin = dice.jitter(dice.pick(SHIRTS), 14), dice.pick(TROUSERS), dice.pick(SKIN)
    stride = dice.real(0.0, 0.34) if dice.chance(0.75) else 0.04

    def flat(points: list[tuple[float, float]], color: Color) -> None:
        pen.flat(board, [(u, v * k) for u, v in points], color, 5)

    pen.canvas.shade([pen.camera.project((*board.at((u, 0.0))[:2], z + d)) for u, d in
                      ((-0.35, -0.2), (0.35, -0.2), (0.35, 0.2), (-0.35, 0.2))], 80)  # fmt: skip
    flat([(-0.15, 0.86), (0.02, 0.86), (-stride + 0.06, 0.06), (-stride - 0.08, 0.06)], lit(legs, 13))
    flat([(-stride - 0.08, 0.07), (-stride + 0.16, 0.07), (-stride + 0.16, 0.0), (-stride - 0.08, 0.0)], (26, 24, 24))
    flat([(-0.04, 0.86), (0.15, 0.86), (stride + 0.09, 0.06), (stride - 0.05, 0.06)], legs)
    flat([(stride - 0.05, 0.07), (stride + 0.2, 0.07), (stride + 0.2, 0.0), (stride - 0.05, 0.0)], (30, 28, 28))
    hem = dice.pick((0.82, 0.82, 0.55))
    flat(raster.bar((-0.2, 1.38), (-0.27 - stride * 0.4, 0.86), 0.11), lit(shirt, 13))
    flat([(-0.19, hem), (0.19, hem), (0.23, 1.4), (0.1, 1.49), (-0.1, 1.49), (-0.23, 1.4)], shirt)
    flat(raster.bar((0.2, 1.38), (0.27 + stride * 0.3, 0.88), 0.11), lit(shirt, 14))
    flat(raster.circle(0.28 + stride * 0.3, 0.85, 0.06), skin)
    draw_head(pen, board, k, 0.0, 1.61, skin, dice.pick(HAIR))
    if dice.chance(0.3):
        bag = dice.jitter(dice.pick(((120, 80, 50), (40, 40, 44), (150, 40, 50))), 10)
        flat([(-0.36, 0.75), (-0.16, 0.75), (-0.16, 1.15), (-0.36, 1.15)], bag)
    if rain and dice.chance(0.5):
        dome = dice.jitter(dice.pick(SHIRTS), 10)
        flat(raster.bar((0.12, 1.0), (0.12, 2.0), 0.03), (40, 40, 44))
        flat([(-0.5, 1.82), (0.74, 1.82), (0.5, 2.1), (0.12, 2.2), (-0.26, 2.1)], dome)


def draw_head(pen: Pen, board: Board, k: float, u: float, v: float, skin: Color, hair: Color) -> None:
    """Draw a face with hair; `k` scales heights, the board scales widths."""

    def ring(radius: float, cu: float, cv: float) -> list[tuple[float, float]]:
        return [(a, b * k) for a, b in raster.circle(cu, cv, radius)]

    pen.flat(board, ring(0.125, u, v + 0.025), hair, 4)
    pen.flat(board, ring(0.1, u + 0.025, v - 0.02), skin, 3)


def draw_crowd(pen: Pen, dice: Dice, x: float, z: float, rain: bool) -> None:
    """Draw a group of people with the same id."""
    places = sorted((dice.real(-0.7, 0.7) for _ in range(dice.whole(6, 10))), reverse=True)
    for dz in places:
        draw_person(replace(pen, depth_m=z + dz), dice, x + dice.real(-1.3, 1.3), z + dz, rain)


def draw_bicycle(pen: Pen, dice: Dice, board: Board, narrow: bool) -> None:
    """Draw a bicycle along its board, or from behind if `narrow`."""
    color = dice.jitter(
        dice.pick(((190, 40, 40), (40, 110, 70), (46, 84, 160), (230, 230, 226), (30, 32, 34), (220, 160, 30))), 12
    )
    tyre: Color = (30, 30, 32)
    if narrow:
        pen.rect(board, -0.05, 0.0, 0.05, 0.7, tyre)
        pen.rect(board, -0.04, 0.6, 0.04, 0.92, color)
        pen.line(board, (-0.28, 1.02), (0.28, 1.02), 0.06, (40, 40, 42))
        pen.rect(board, -0.05, 0.62, 0.05, 0.72, (200, 30, 30), 2, 160)
        return
    for u in (-0.53, 0.53):
        points = [pen.camera.project(board.at(p)) for p in raster.circle(u, 0.34, 0.34)]
        pen.canvas.veil(raster.polygon(points, *pen.canvas.size), pen.material((92, 94, 98), 4), 110)
        rim = raster.circle(u, 0.34, 0.35)
        hole = raster.circle(u, 0.34, 0.27)
        pen.flat(board, [*rim, rim[0], hole[0], *reversed(hole)], tyre, 3)
    seat, crank, head = (-0.2, 0.82), (-0.08, 0.3), (0.4, 0.8)
    for a, b in (
        ((-0.53, 0.34), crank),
        (crank, seat),
        (seat, (0.38, 0.74)),
        (crank, (0.4, 0.7)),
        ((-0.53, 0.34), (-0.17, 0.7)),
        (head, (0.53, 0.34)),
    ):
        pen.line(board, a, b, 0.075, color)
    pen.line(board, (-0.34, 0.9), (-0.06, 0.9), 0.09, (26, 24, 24))
    pen.line(board, head, (0.42, 1.02), 0.05, (60, 60, 64))
    pen.line(board, (0.26, 1.04), (0.5, 1.0), 0.06, (26, 26, 28))


def draw_motorcycle(pen: Pen, dice: Dice, board: Board, narrow: bool) -> None:
    color = dice.jitter(dice.pick(((190, 30, 34), (30, 60, 150), (36, 38, 40), (220, 120, 20), (60, 140, 70))), 12)
    dark, steel = (24, 24, 26), (128, 130, 134)
    if narrow:
        pen.rect(board, -0.11, 0.0, 0.11, 0.62, dark, 3)
        pen.flat(board, [(-0.24, 0.55), (0.24, 0.55), (0.18, 0.95), (-0.18, 0.95)], color)
        pen.rect(board, -0.12, 0.68, 0.12, 0.8, (210, 24, 24), 2, 220)
        pen.rect(board, -0.12, 0.45, 0.12, 0.58, (226, 226, 214))
        pen.line(board, (-0.42, 1.08), (0.42, 1.08), 0.07, dark)
        pen.disc(board, -0.42, 1.18, 0.08, dark)
        pen.disc(board, 0.42, 1.18, 0.08, dark)
        return
    for u in (-0.68, 0.7):
        pen.disc(board, u, 0.32, 0.33, dark)
        pen.disc(board, u, 0.32, 0.17, steel)
    pen.flat(board, [(-0.5, 0.3), (0.4, 0.26), (0.5, 0.62), (-0.4, 0.62)], (72, 74, 78), 10)
    pen.line(board, (-0.95, 0.3), (-0.1, 0.32), 0.11, steel)
    pen.flat(
        board, [(-0.95, 0.92), (-0.8, 0.7), (0.0, 0.6), (0.55, 0.62), (0.5, 0.95), (0.1, 0.98), (-0.1, 0.8)], color, 3
    )
    pen.flat(board, [(-0.85, 0.92), (-0.05, 0.8), (-0.1, 0.9), (-0.7, 1.0)], (28, 26, 26))
    pen.line(board, (0.7, 0.32), (0.48, 1.0), 0.1, steel)
    pen.line(board, (0.3, 1.14), (0.52, 1.02), 0.08, dark)
    pen.disc(board, 0.62, 0.88, 0.12, (250, 240, 200), 240)


def draw_rider(pen: Pen, dice: Dice, board: Board, narrow: bool, motor: bool) -> None:
    shirt, legs = dice.jitter(dice.pick(SHIRTS), 14), dice.pick(TROUSERS)
    helmet = dice.pick(HELMETS) if motor or dice.chance(0.7) else dice.pick(HAIR)
    skin = helmet if motor else dice.pick(SKIN)
    seat = 0.85 if motor else 0.92
    if narrow:
        for sign in (-1, 1):
            pen.flat(board, raster.bar((sign * 0.1, seat), (sign * 0.2, 0.35), 0.15), legs, 5)
            pen.flat(board, raster.bar((sign * 0.2, seat + 0.5), (sign * 0.34, seat + 0.14), 0.11), lit(shirt, 13), 5)
        pen.flat(
            board,
            [
                (-0.19, seat - 0.06),
                (0.19, seat - 0.06),
                (0.24, seat + 0.5),
                (0.1, seat + 0.6),
                (-0.1, seat + 0.6),
                (-0.24, seat + 0.5),
            ],
            shirt,
            5,
        )
        pen.disc(board, 0.0, seat + 0.74, 0.11, skin)
        pen.disc(board, 0.0, seat + 0.79, 0.13, helmet)
        return
    hip, shoulder = (-0.22, seat + 0.02), (0.1, seat + 0.52)
    knee, foot = ((0.22, 0.72), (0.08, 0.34)) if motor else ((0.2, 0.74), (0.02, 0.22))
    pen.flat(board, raster.bar(hip, knee, 0.17), legs, 5)
    pen.flat(board, raster.bar(knee, foot, 0.13), lit(legs, 14), 5)
    pen.flat(board, raster.bar(foot, (foot[0] + 0.18, foot[1]), 0.09), (28, 26, 26), 5)
    pen.flat(board, raster.bar((hip[0], hip[1] - 0.06), shoulder, 0.32), shirt, 5)
    pen.flat(board, raster.bar(shoulder, (0.38, 1.08), 0.11), lit(shirt, 12), 5)
    pen.disc(board, 0.19, seat + 0.74, 0.115, skin)
    pen.disc(board, 0.17, seat + 0.78, 0.14 if motor else 0.125, helmet)
