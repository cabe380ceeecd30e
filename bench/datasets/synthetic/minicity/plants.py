"""Trees, hedges and bushes; trunks are vegetation too."""

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity.camera import Board, Pen
from bench.datasets.synthetic.minicity.canvas import Color, lit
from bench.datasets.synthetic.minicity.dice import Dice

Ints = npt.NDArray[np.int32]
LEAVES: tuple[Color, ...] = ((74, 106, 44), (58, 92, 46), (92, 116, 52), (66, 98, 60), (112, 118, 48), (146, 110, 44))
CONIFERS: tuple[Color, ...] = ((40, 72, 48), (48, 80, 62), (36, 62, 44))
BARK: tuple[Color, ...] = ((86, 70, 56), (70, 60, 52), (108, 96, 82))


def draw_tree(pen: Pen, dice: Dice, x: float, z: float, ragged: npt.NDArray[np.int64]) -> None:
    kind = dice.pick(("round", "round", "round", "poplar", "conifer", "bare"))
    tall = dice.real(4.5, 9.0)
    pen.canvas.shade([pen.camera.project((x + dx, 0.0, z + dz)) for dx, dz in
                      ((-1.8, -0.8), (1.8, -0.8), (1.8, 0.8), (-1.8, 0.8))], 60)  # fmt: skip
    trunk(pen, dice, x, z, tall * 0.6)
    if kind == "conifer":
        conifer(pen, dice, x, z, tall)
    elif kind == "bare":
        branches(pen, dice, x, z, tall)
    else:
        crown(pen, dice, (x, z), tall, tall * (0.3 if kind == "round" else 0.14), ragged)


def trunk(pen: Pen, dice: Dice, x: float, z: float, tall: float) -> None:
    wide = max(dice.real(0.1, 0.22), 1.2 * pen.camera.metres_per_px(z))
    pen.flat(
        Board(x, z),
        [(-wide * 1.2, 0.0), (wide * 1.2, 0.0), (wide * 0.7, tall), (-wide * 0.7, tall)],
        dice.pick(BARK),
        12,
    )


def crown(
    pen: Pen, dice: Dice, at: tuple[float, float], tall: float, radius: float, ragged: npt.NDArray[np.int64]
) -> None:
    x, z = at
    leaf = dice.jitter(dice.pick(LEAVES), 10)
    middle, reach = tall * 0.66, tall * 0.34
    clumps = [(0.0, 0.0, 1.0, 12)]
    clumps += [(dice.real(-0.7, 0.7), dice.real(-0.7, 0.5), dice.real(0.4, 0.6), 13) for _ in range(4)]
    clumps += [(dice.real(-0.6, 0.6), dice.real(-0.2, 0.8), dice.real(0.3, 0.5), 16) for _ in range(3)]
    clumps += [(dice.real(-0.5, 0.5), dice.real(0.2, 0.8), dice.real(0.2, 0.36), 19) for _ in range(3)]
    for du, dv, size, tone in clumps:
        place = (x + du * radius, middle + dv * reach, z)
        pen.blob(place, size * radius, size * reach, lit(leaf, tone), 24, 18, ragged)


def conifer(pen: Pen, dice: Dice, x: float, z: float, tall: float) -> None:
    board, needle, wide = Board(x, z), dice.jitter(dice.pick(CONIFERS), 8), tall * 0.24
    for step in range(5):
        low, high = tall * (0.1 + 0.17 * step), tall * (0.36 + 0.17 * step)
        half = wide * (1.0 - 0.17 * step)
        tone = 14 + step % 2 * 3
        pen.flat(board, [(-half, low), (0.0, low + 0.1), (half, low), (0.0, min(high, tall))], lit(needle, tone), 18)


def branches(pen: Pen, dice: Dice, x: float, z: float, tall: float) -> None:
    board, bark = Board(x, z), dice.pick(BARK)
    for _ in range(7):
        low, out, up = dice.real(0.35, 0.6) * tall, dice.real(-1.7, 1.7), dice.real(0.2, 0.42) * tall
        tip = (out, low + up)
        pen.line(board, (0.0, low), tip, 0.11, bark)
        for _ in range(2):
            pen.line(
                board,
                (out * 0.6, low + up * 0.6),
                (out * dice.real(0.4, 1.3), low + up * dice.real(1.0, 1.4)),
                0.06,
                bark,
            )


def draw_hedge(pen: Pen, board: Board, length: float, height: float, dice: Dice) -> None:
    leaf = dice.jitter(dice.pick(LEAVES[:4]), 10)
    tones = [pen.canvas.add(pen.material(lit(leaf, tone), 22, 14)) for tone in (12, 15, 18)]

    def texture(u: Ints, v: Ints) -> Ints:
        lot = (u // 13 * 31 + v // 11 * 17) * 7 % 11
        return np.where(
            v > round(height * 90), tones[2], np.where(lot < 4, tones[0], np.where(lot < 9, tones[1], tones[2]))
        )

    pen.textured(board, length, height, texture)


def draw_bush(pen: Pen, dice: Dice, x: float, z: float, ragged: npt.NDArray[np.int64]) -> None:
    leaf, size = dice.jitter(dice.pick(LEAVES), 12), dice.real(0.5, 1.1)
    for tone in (12, 15, 18):
        for _ in range(2):
            at = (x + dice.real(-0.6, 0.6) * size, size * dice.real(0.3, 0.6), z)
            pen.blob(at, size * dice.real(0.5, 0.8), size * dice.real(0.45, 0.6), lit(leaf, tone), 24, 14, ragged)
