"""Trams and trains (class train of Cityscapes)."""

from bench.datasets.synthetic.minicity.body import Frame, extrude, rect, underside
from bench.datasets.synthetic.minicity.camera import Board, Pen
from bench.datasets.synthetic.minicity.canvas import Color, lit
from bench.datasets.synthetic.minicity.dice import Dice
from bench.datasets.synthetic.minicity.vehicles import GLASS, LAMP, RED, SKYLIT, box_profile

SECTION_M = 7.5


def draw_tram(pen: Pen, dice: Dice, x: float, z: float, heading: tuple[float, float], color: Color) -> None:
    """Draw a tram of two or three sections; (x, z) is its centre."""
    color, sections = dice.jitter(color, 10), dice.whole(2, 3)
    half = sections * SECTION_M / 2
    frame = Frame(x, z, *heading, 1.25)
    underside(pen, frame, 2 * half)
    order = [(i + 0.5) * SECTION_M - half for i in range(sections)]
    order.sort(key=lambda u: -(z + u * heading[1]))
    for u in order:
        draw_section(pen, frame, u, color)
    middle = Board(x, z, heading[0] or 0.3, heading[1])
    for a, b in (((-0.9, 3.5), (0.2, 4.3)), ((0.2, 4.3), (-0.6, 4.9)), ((-1.2, 4.9), (0.2, 4.9))):
        pen.line(middle, a, b, 0.07, (40, 40, 44))
    rear = frame.rear_shows(pen, 2 * half)
    draw_tram_end(pen, frame, -half if rear else half, color, RED if rear else LAMP)


def draw_section(pen: Pen, frame: Frame, middle: float, color: Color) -> None:
    u0, u1 = middle - SECTION_M / 2, middle + SECTION_M / 2
    grey: Color = (72, 74, 80)
    side = extrude(pen, frame, box_profile(u0, 0.12, u1, 3.45, color, grey), color, 15)
    if not side:
        return
    frame.side(pen, side, rect(u0, 0.12, u1, 0.6), (62, 62, 68))
    frame.side(pen, side, rect(u0, 0.6, u1, 1.05), (226, 222, 208))
    frame.side(pen, side, rect(u0 + 0.3, 1.5, u1 - 0.3, 2.75), GLASS, 5, 110)
    frame.side(pen, side, rect(u0 + 0.3, 2.35, u1 - 0.3, 2.75), SKYLIT, 5, 90)
    frame.side(pen, side, rect(u0, 3.1, u1, 3.45), grey)
    for u in (middle - 1.2, middle + 0.3):
        frame.side(pen, side, rect(u, 0.5, u + 0.9, 2.85), lit(color, 11))
        frame.side(pen, side, rect(u + 0.12, 1.0, u + 0.78, 2.7), GLASS, 4, 90)
    for u in (u0, u1 - 0.25):
        frame.side(pen, side, rect(u, 0.3, u + 0.25, 3.3), (34, 34, 38))


def draw_tram_end(pen: Pen, frame: Frame, u: float, color: Color, lamp: Color) -> None:
    frame.end(pen, u, rect(-1.2, 0.12, 1.2, 0.6), (62, 62, 68))
    frame.end(pen, u, rect(-1.22, 0.6, 1.22, 1.15), (226, 222, 208))
    frame.end(pen, u, [(-1.1, 1.4), (1.1, 1.4), (0.95, 2.75), (-0.95, 2.75)], GLASS, 4, 70)
    frame.end(pen, u, rect(-0.45, 2.9, 0.45, 3.3), (250, 190, 50), 2, 255)
    frame.end(pen, u, rect(-1.22, 3.3, 1.22, 3.45), lit(color, 11))
    for sign in (-1, 1):
        frame.end(pen, u, rect(sign * 0.75, 0.75, sign * 1.08, 1.02), lamp, 2, 230)
