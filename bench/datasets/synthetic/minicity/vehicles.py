"""Cars, trucks and buses: profiles and details."""

from bench.datasets.synthetic.minicity.body import Frame, Profile, extrude, rect, tyres, underside, wheels
from bench.datasets.synthetic.minicity.camera import Pen
from bench.datasets.synthetic.minicity.canvas import Color, lit
from bench.datasets.synthetic.minicity.dice import Dice

GLASS: Color = (44, 54, 66)
SKYLIT: Color = (96, 116, 136)
RED: Color = (190, 24, 24)
LAMP: Color = (250, 244, 214)
CAR_COLORS: tuple[Color, ...] = (
    (188, 190, 194), (52, 54, 60), (228, 228, 226), (120, 124, 130), (160, 28, 34), (34, 62, 128),
    (30, 32, 36), (62, 92, 76), (196, 160, 60), (96, 132, 168), (132, 96, 70), (90, 24, 40),
)  # fmt: skip
# Bodies: corners (u, v) from the lower rear to the lower front, with what each face is; then the side windows.
Corner = tuple[float, float, str]
BODIES: dict[str, tuple[tuple[Corner, ...], tuple[tuple[float, float], ...], float]] = {
    "sedan": (((-2.2, .3, "b"), (-2.25, .92, "b"), (-1.6, 1.0, "g"), (-1.0, 1.42, "r"), (.35, 1.44, "g"),
               (1.1, .98, "h"), (2.1, .82, "b"), (2.2, .3, "b")),
              ((-1.45, .98), (-.92, 1.36), (.3, 1.38), (.95, .98)), .86),
    "hatch": (((-1.9, .3, "b"), (-1.95, .95, "g"), (-1.6, 1.42, "r"), (.3, 1.48, "g"), (1.05, 1.0, "h"),
               (1.85, .86, "b"), (1.9, .3, "b")),
              ((-1.7, .98), (-1.45, 1.36), (.25, 1.4), (.9, .98)), .88),
    "estate": (((-2.3, .3, "b"), (-2.32, .95, "g"), (-2.0, 1.44, "r"), (.3, 1.46, "g"), (1.1, .98, "h"),
                (2.15, .84, "b"), (2.25, .3, "b")),
               ((-2.05, .98), (-1.85, 1.38), (.25, 1.39), (.95, .98)), .88),
    "suv": (((-2.2, .38, "b"), (-2.25, 1.1, "g"), (-2.0, 1.72, "r"), (.3, 1.74, "g"), (.95, 1.16, "h"),
             (2.05, 1.04, "b"), (2.15, .38, "b")),
            ((-2.0, 1.14), (-1.85, 1.62), (.25, 1.65), (.8, 1.14)), .94),
    "van": (((-2.4, .35, "b"), (-2.45, 1.15, "g"), (-2.4, 1.9, "r"), (1.1, 1.94, "g"), (1.9, 1.14, "h"),
             (2.4, .95, "b"), (2.45, .35, "b")),
            ((-2.2, 1.18), (-2.2, 1.76), (1.05, 1.8), (1.65, 1.18)), .98),
}  # fmt: skip


def draw_car(pen: Pen, dice: Dice, x: float, z: float, heading: tuple[float, float]) -> None:
    corners, windows, half_width = BODIES[dice.pick(("sedan", "hatch", "hatch", "estate", "suv", "van"))]
    color = dice.jitter(dice.pick(CAR_COLORS), 10)
    frame = Frame(x, z, *heading, half_width, corners[1][1])
    faces = {"b": color, "g": SKYLIT, "r": lit(color, 19), "h": lit(color, 18)}
    profile = [(u, v, faces[kind]) for u, v, kind in corners]
    length = corners[-1][0] - corners[0][0]
    underside(pen, frame, length)
    rear = frame.rear_shows(pen, length)
    tyres(pen, frame, (-0.97 if rear else 0.97) * length / 2, 0.32)
    side = extrude(pen, frame, profile, color, 14)
    (car_rear if rear else car_front)(pen, frame, corners, color)
    if side:
        frame.side(pen, side, windows, GLASS)
        middle = (windows[1][0] + windows[2][0]) / 2
        frame.side(pen, side, rect(middle - 0.05, windows[0][1], middle + 0.05, windows[2][1]), lit(color, 14))
        frame.side(pen, side, rect(corners[0][0], corners[0][1], corners[-1][0], corners[0][1] + 0.1), lit(color, 9))
        wheels(pen, frame, side, (-0.3 * length, 0.31 * length), 0.33, (150, 152, 156))


def car_rear(pen: Pen, frame: Frame, corners: tuple[Corner, ...], color: Color) -> None:
    u, belt, w = corners[1][0] - 0.01, corners[1][1], frame.half_width
    frame.end(pen, u, rect(-w, 0.32, w, 0.5), lit(color, 9))
    frame.end(pen, u, rect(-0.26, 0.55, 0.26, 0.68), (226, 226, 214))
    for sign in (-1, 1):
        frame.end(pen, u, rect(sign * w * 0.66, belt - 0.3, sign * w * 0.98, belt - 0.06), RED, 2, 200)
    if corners[2][1] > 1.3:  # steep rear window
        top = frame.half(corners[2][1]) - 0.12
        glass = [
            (-w + 0.14, belt + 0.04),
            (w - 0.14, belt + 0.04),
            (top, corners[2][1] - 0.1),
            (-top, corners[2][1] - 0.1),
        ]
        frame.end(pen, u, glass, GLASS)


def car_front(pen: Pen, frame: Frame, corners: tuple[Corner, ...], color: Color) -> None:
    u, nose, w = corners[-1][0] + 0.01, corners[-2][1], frame.half_width
    frame.end(pen, u, rect(-w * 0.55, 0.42, w * 0.55, nose - 0.18), (30, 30, 34))
    frame.end(pen, u, rect(-0.26, 0.38, 0.26, 0.5), (226, 226, 214))
    for sign in (-1, 1):
        frame.end(pen, u, rect(sign * w * 0.6, nose - 0.26, sign * w * 0.96, nose - 0.06), LAMP, 2, 255)


def box_profile(u0: float, v0: float, u1: float, v1: float, color: Color, roof: Color) -> Profile:
    return [(u0, v0, color), (u0, v1, roof), (u1, v1, color), (u1, v0, color)]


def draw_truck(pen: Pen, dice: Dice, x: float, z: float, heading: tuple[float, float]) -> None:
    cab = dice.jitter(dice.pick(((176, 36, 36), (34, 76, 150), (226, 226, 222), (46, 110, 70), (222, 140, 30))), 12)
    load = dice.jitter(dice.pick(((222, 222, 218), (206, 206, 210), (62, 110, 164), (188, 60, 44), (206, 178, 70))), 10)
    tall, long = dice.real(2.7, 3.5), dice.real(4.4, 6.6)
    kind = dice.pick(("box", "box", "box", "tipper"))
    top = tall if kind == "box" else 1.9
    length = long + 2.4
    frame = Frame(x, z, *heading, 1.22)
    rear = frame.rear_shows(pen, length)
    underside(pen, frame, length)
    parts = [("cab", -1), ("load", 1)] if rear else [("load", 1), ("cab", -1)]
    for part, _ in parts:
        if part == "cab":
            truck_cab(pen, frame, length, cab)
        else:
            truck_load(pen, frame, length, long, top, load, kind, dice)
    tyres(pen, frame, (-0.95 if rear else 0.99) * length / 2, 0.5)
    side = frame.visible_side(pen, length)
    if side:
        wheels(pen, frame, side, (-length / 2 + 1.0, -length / 2 + 2.05, length / 2 - 0.95), 0.5, (120, 118, 116))


def truck_cab(pen: Pen, frame: Frame, length: float, color: Color) -> None:
    front = length / 2
    profile = [(front - 2.0, 0.5, color), (front - 2.0, 2.7, lit(color, 19)), (front - 0.25, 2.75, SKYLIT),
               (front, 1.5, color), (front + 0.02, 0.5, color)]  # fmt: skip
    side = extrude(pen, frame, profile, color, 14)
    if side:
        frame.side(pen, side, [(front - 1.3, 1.5), (front - 0.15, 1.5), (front - 0.35, 2.4), (front - 1.3, 2.4)], GLASS)
    if not frame.rear_shows(pen, length):
        frame.end(pen, front, rect(-1.05, 1.5, 1.05, 2.45), SKYLIT)
        frame.end(pen, front, rect(-0.8, 0.8, 0.8, 1.3), (30, 30, 34))
        for sign in (-1, 1):
            frame.end(pen, front + 0.03, rect(sign * 0.85, 0.62, sign * 1.15, 0.9), LAMP, 2, 255)


def truck_load(pen: Pen, frame: Frame, length: float, long: float, top: float, color: Color, kind: str,
               dice: Dice) -> None:  # fmt: skip
    back = -length / 2
    stripe = dice.jitter(dice.pick(((180, 40, 40), (40, 80, 160), (60, 130, 70), (220, 170, 40))), 10)
    side = extrude(pen, frame, box_profile(back, 0.9, back + long, top, color, lit(color, 18)), color, 14, 3)
    if side:
        low, high = (1.6, 2.1) if kind == "box" else (1.7, 1.9)
        frame.side(pen, side, rect(back + 0.3, low, back + long - 0.3, high), lit(stripe, 14))
        frame.side(pen, side, rect(back, 0.75, back + long, 0.98), (40, 40, 44))
        for step in range(1, 4):
            u = back + long * step / 4
            frame.side(pen, side, rect(u - 0.04, 1.0, u + 0.04, top), lit(color, 11))
    if frame.rear_shows(pen, length):
        frame.end(pen, back, rect(-1.18, 0.7, 1.18, 0.95), (40, 40, 44))
        frame.end(pen, back, rect(-0.04, 1.0, 0.04, top - 0.08), lit(color, 9))
        for sign in (-1, 1):
            frame.end(pen, back, rect(sign * 0.4, 1.1, sign * 0.46, top - 0.3), lit(color, 10))
            frame.end(pen, back, rect(sign * 0.8, 0.72, sign * 1.15, 0.9), RED, 2, 200)


def draw_bus(pen: Pen, dice: Dice, x: float, z: float, heading: tuple[float, float], color: Color) -> None:
    color = dice.jitter(color, 14)
    length = dice.real(9.5, 12.0)
    half = length / 2
    frame = Frame(x, z, *heading, 1.26)
    underside(pen, frame, length)
    rear = frame.rear_shows(pen, length)
    tyres(pen, frame, (-0.97 if rear else 0.97) * half, 0.5)
    side = extrude(pen, frame, box_profile(-half, 0.32, half, 3.0, color, lit(color, 19)), color, 14)
    if side:
        frame.side(pen, side, rect(-half + 0.2, 1.35, half - 0.1, 2.5), (28, 30, 34))
        for step in range(7):
            u = -half + 0.35 + step * (length - 0.7) / 7
            frame.side(pen, side, rect(u, 1.42, u + (length - 0.7) / 7 - 0.16, 2.42), (92, 106, 118), 6, 120)
        for u in (half - 1.4, -0.4):
            frame.side(pen, side, rect(u, 0.4, u + 1.1, 2.5), (30, 34, 38))
            frame.side(pen, side, rect(u + 0.08, 0.5, u + 0.5, 2.4), SKYLIT, 4, 100)
            frame.side(pen, side, rect(u + 0.6, 0.5, u + 1.02, 2.4), SKYLIT, 4, 100)
        wheels(pen, frame, side, (-half + 2.4, half - 2.6), 0.5, (140, 140, 144))
    (bus_rear if rear else bus_front)(pen, frame, half, color)


def bus_rear(pen: Pen, frame: Frame, half: float, color: Color) -> None:
    frame.end(pen, -half, rect(-1.05, 1.75, 1.05, 2.6), GLASS, 4, 40)
    frame.end(pen, -half, rect(-0.8, 0.7, 0.8, 1.3), lit(color, 10))
    frame.end(pen, -half, rect(-0.5, 2.66, 0.1, 2.88), (250, 170, 40), 2, 255)
    for sign in (-1, 1):
        frame.end(pen, -half, rect(sign * 0.95, 0.7, sign * 1.18, 1.45), RED, 2, 200)


def bus_front(pen: Pen, frame: Frame, half: float, color: Color) -> None:
    frame.end(pen, half, rect(-1.15, 1.15, 1.15, 2.5), GLASS, 4, 60)
    frame.end(pen, half, rect(-1.0, 1.9, -0.1, 2.45), SKYLIT, 4, 60)
    frame.end(pen, half, rect(-0.9, 2.58, 0.9, 2.9), (250, 170, 40), 2, 255)
    frame.end(pen, half, rect(-1.2, 0.35, 1.2, 0.55), lit(color, 9))
    for sign in (-1, 1):
        frame.end(pen, half, rect(sign * 0.8, 0.65, sign * 1.15, 0.9), LAMP, 2, 255)
