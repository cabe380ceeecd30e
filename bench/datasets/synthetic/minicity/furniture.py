"""Poles, lamps, traffic lights, signs and bins."""

from collections.abc import Callable
from dataclasses import replace

from bench.datasets.synthetic.minicity import raster
from bench.datasets.synthetic.minicity.camera import Board, Pen
from bench.datasets.synthetic.minicity.canvas import Color
from bench.datasets.synthetic.minicity.dice import Dice

NewPen = Callable[[], Pen]
POLE, SIGN, STATIC, DYNAMIC = 17, 20, 4, 5
GREYS: tuple[Color, ...] = ((120, 122, 124), (92, 98, 96), (146, 146, 144), (70, 78, 74))


def pole(pen: Pen, dice: Dice, x: float, z: float, height: float, width: float) -> Color:
    """Draw an upright pole of at least 1.5 px; return its colour."""
    color = dice.jitter(dice.pick(GREYS), 8)
    wide = max(width, 1.5 * pen.camera.metres_per_px(z)) / 2
    board = Board(x, z)
    pen.rect(board, -wide, 0.0, wide, height, color, 3)
    pen.rect(board, wide * 0.1, 0.0, wide, height, (color[0] * 3 // 4, color[1] * 3 // 4, color[2] * 3 // 4), 3)
    return color


def lamp_post(pen: Pen, dice: Dice, x: float, z: float, side: int, night: bool) -> None:
    height = dice.real(5.0, 7.5)
    color = pole(pen, dice, x, z, height, 0.16)
    board = Board(x, z, float(-side), 0.0)
    pen.line(board, (0.0, height), (1.5, height + 0.25), 0.1, color)
    pen.rect(board, 1.3, height + 0.1, 2.1, height + 0.32, (255, 232, 170) if night else color, 2, 255 if night else 0)


def traffic_light(pen: Pen, dice: Dice, x: float, z: float, side: int, head: NewPen) -> None:
    """Draw a light at the kerb, often with a second one above the lane; `head` returns the pen of each."""
    overhead = dice.chance(0.45)
    color = pole(pen, dice, x, z, 5.3 if overhead else 2.4, 0.14)
    phase = dice.whole(0, 2)
    housing = dice.jitter(dice.pick(((34, 38, 36), (28, 30, 30), (52, 66, 50))), 4)
    if overhead:
        board = Board(x, z, float(-side), 0.0)
        pen.line(board, (0.0, 5.2), (3.1, 5.3), 0.12, color)
        light_head(head(), Board(x - side * 2.9, z), 4.5, phase, housing, 1.2)
    light_head(head(), Board(x, z), 2.3, phase, housing, 1.05)


def light_head(pen: Pen, board: Board, base: float, phase: int, housing: Color, k: float) -> None:
    pen.rect(board, -0.24 * k, base, 0.24 * k, base + 1.15 * k, (196, 190, 170), 3)
    pen.rect(board, -0.19 * k, base + 0.05, 0.19 * k, base + 1.1 * k, housing, 3)
    for row, on in enumerate(((60, 240, 130), (255, 190, 40), (255, 50, 40))):
        color = on if row == phase else (on[0] // 5, on[1] // 5, on[2] // 5)
        pen.disc(board, 0.0, base + (0.22 + 0.35 * row) * k, 0.14 * k, color, 255 if row == phase else 0)


def sign_post(pen: Pen, dice: Dice, x: float, z: float, stop: NewPen) -> None:
    height = dice.real(2.3, 3.0)
    pole(pen, dice, x, z, height + 0.4, 0.08)
    board, face = Board(x, z - 0.05), replace(pen, ident=SIGN)
    sign_face(face, dice, board, height, stop)
    if dice.chance(0.35):
        face.rect(board, -0.42, height - 1.0, 0.42, height - 0.5, dice.pick(((226, 226, 222), (44, 80, 170))), 2, 30)


def sign_face(pen: Pen, dice: Dice, board: Board, v: float, stop: NewPen) -> None:
    """Draw a random traffic sign; `stop` returns the pen of a stop sign."""
    red, white, blue, yellow = (200, 28, 34), (236, 236, 232), (30, 74, 176), (238, 196, 30)
    kind = dice.whole(0, 6)
    if kind <= 1:
        pen.disc(board, 0.0, v, 0.4, red, 40)
        pen.disc(board, 0.0, v, 0.28, white, 40)
        pen.rect(board, -0.14, v - 0.09, 0.14, v + 0.09, (30, 30, 32) if kind else white, 2)
    elif kind == 2:
        tip = 1 if dice.chance(0.5) else -1
        pen.flat(board, [(-0.48, v - 0.36 * tip), (0.48, v - 0.36 * tip), (0.0, v + 0.46 * tip)], red, 2, 40)
        pen.flat(board, [(-0.27, v - 0.23 * tip), (0.27, v - 0.23 * tip), (0.0, v + 0.2 * tip)], white, 2, 40)
    elif kind == 3:
        stop_face(stop(), board, v)
    elif kind == 4:
        pen.flat(board, [(0.0, v - 0.48), (0.48, v), (0.0, v + 0.48), (-0.48, v)], white, 2, 40)
        pen.flat(board, [(0.0, v - 0.34), (0.34, v), (0.0, v + 0.34), (-0.34, v)], yellow, 2, 40)
    elif kind == 5:
        pen.disc(board, 0.0, v, 0.4, blue, 40)
        pen.line(board, (-0.18, v), (0.2, v), 0.1, white)
    else:
        pen.rect(board, -0.42, v - 0.42, 0.42, v + 0.42, blue, 2, 40)
        pen.rect(board, -0.2, v - 0.22, 0.2, v + 0.24, white, 2, 40)


def stop_face(pen: Pen, board: Board, v: float) -> None:
    ring = [
        (0.42 * a, 0.42 * b)
        for a, b in ((1, 0.41), (0.41, 1), (-0.41, 1), (-1, 0.41), (-1, -0.41), (-0.41, -1), (0.41, -1), (1, -0.41))
    ]
    pen.flat(board, [(a, v + b) for a, b in ring], (200, 28, 34), 2, 40)
    pen.rect(board, -0.28, v - 0.07, 0.28, v + 0.07, (236, 236, 232), 2, 40)


def direction_board(pen: Pen, dice: Dice, x: float, z: float) -> None:
    color = dice.pick(((30, 74, 176), (226, 200, 50), (30, 110, 72)))
    ink = (30, 30, 32) if color[0] > 200 else (236, 236, 232)
    for off in (-0.8, 0.8):
        pole(pen, dice, x + off, z, 2.4, 0.1)
    face, board = replace(pen, ident=SIGN), Board(x, z - 0.1)
    face.rect(board, -1.25, 1.7, 1.25, 3.2, ink, 2, 40)
    face.rect(board, -1.18, 1.77, 1.18, 3.13, color, 2, 40)
    for v in (2.1, 2.75):
        face.rect(board, -0.5, v - 0.1, 0.95, v + 0.1, ink, 2, 40)
        face.flat(board, [(-1.0, v), (-0.7, v - 0.18), (-0.7, v + 0.18)], ink, 2, 40)


def oddity(pen: Pen, dice: Dice, x: float, z: float) -> None:
    """Draw a void object: bin or switch box (static), or pram (dynamic)."""
    board, kind = Board(x, z), dice.whole(0, 2)
    if kind == 0:
        color = dice.jitter(dice.pick(((56, 92, 62), (70, 72, 76), (190, 110, 40))), 10)
        bin_ = replace(pen, ident=STATIC)
        bin_.flat(board, [(-0.26, 0.0), (0.26, 0.0), (0.32, 0.95), (-0.32, 0.95)], color)
        bin_.rect(board, -0.36, 0.92, 0.36, 1.02, (40, 42, 44))
    elif kind == 1:
        box = replace(pen, ident=STATIC)
        box.rect(board, -0.5, 0.0, 0.5, 1.2, dice.jitter((132, 138, 130), 8))
        box.rect(board, -0.02, 0.1, 0.02, 1.1, (90, 94, 90))
    else:
        pram = replace(pen, ident=DYNAMIC)
        color = dice.jitter((60, 64, 92), 20)
        pram.flat(board, [(-0.4, 0.4), (0.3, 0.4), (0.45, 0.8), (0.1, 1.05), (-0.4, 0.8)], color)
        for u in (-0.3, 0.3):
            pram.flat(board, raster.circle(u, 0.16, 0.16), (26, 26, 28))
        pram.line(board, (0.4, 0.75), (0.65, 1.0), 0.06, (40, 40, 44))
