"""Body of a vehicle: a side profile extruded to the vehicle's width, seen from any direction."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.datasets.synthetic.minicity import raster
from bench.datasets.synthetic.minicity.camera import Pen, Vertex
from bench.datasets.synthetic.minicity.canvas import Color, lit

Profile = Sequence[tuple[float, float, Color]]  # (u, v) and the colour of the face from here to the next corner


@dataclass(frozen=True)
class Frame:
    """Pose of a vehicle: centre (x, z), unit heading (hx, hz); local axes u ahead, w left, v up."""

    x: float
    z: float
    hx: float
    hz: float
    half_width: float
    waist: float = 99.0  # height above which the cabin gets narrower
    lean: float = 0.28  # by so much a metre

    def half(self, v: float) -> float:
        return self.half_width - max(0.0, v - self.waist) * self.lean

    def at(self, u: float, v: float, w: float) -> Vertex:
        return self.x + u * self.hx - w * self.hz, v, self.z + u * self.hz + w * self.hx

    def side(self, pen: Pen, sign: int, points: Sequence[tuple[float, float]], color: Color, rough: int = 4,
             glow: int = 0) -> None:  # fmt: skip
        """Draw a polygon (u, v) on the left (1) or right (-1) side."""
        pen.fill([self.at(u, v, sign * self.half(v)) for u, v in points], color, rough, 0, glow)

    def end(self, pen: Pen, u: float, points: Sequence[tuple[float, float]], color: Color, rough: int = 4,
            glow: int = 0) -> None:  # fmt: skip
        """Draw a polygon (w, v) across the vehicle at u, its front or rear."""
        pen.fill([self.at(u, v, w) for w, v in points], color, rough, 0, glow)

    def faces_us(self, pen: Pen, corners: Sequence[Vertex]) -> bool:
        """Return whether the outside of a polygon, anticlockwise seen from outside, faces the camera."""
        points = [pen.camera.project(c) for c in corners]
        ring = zip(points, points[1:] + points[:1], strict=True)
        return sum(ax * by - bx * ay for (ax, ay), (bx, by) in ring) < 0

    def visible_side(self, pen: Pen, length: float) -> int:
        """Return the visible side: 1 left, -1 right, 0 neither."""
        for sign in (1, -1):
            ends = (length / 2, -length / 2) if sign > 0 else (-length / 2, length / 2)
            w = sign * self.half_width
            corners = [self.at(u, v, w) for u, v in ((ends[0], 0.0), (ends[1], 0.0), (ends[1], 1.0), (ends[0], 1.0))]
            if self.faces_us(pen, corners):
                return sign
        return 0

    def rear_shows(self, pen: Pen, length: float) -> bool:
        """Return whether the rear, not the front, faces the camera."""
        w, u = self.half_width, -length / 2
        return self.faces_us(pen, [self.at(u, 0.0, w), self.at(u, 0.0, -w), self.at(u, 1.0, -w), self.at(u, 1.0, w)])


def rect(u0: float, v0: float, u1: float, v1: float) -> list[tuple[float, float]]:
    return [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]


def extrude(pen: Pen, frame: Frame, profile: Profile, color: Color, tone: int, patchy: int = 0) -> int:
    """Draw the visible faces, then the side; return the visible side (1, -1, 0).

    `profile` runs from the lower rear over the roof to the lower front; `tone` is the brightness of the side in 1/16.
    """
    length = profile[-1][0] - profile[0][0]
    corners = list(profile)
    for (u0, v0, face), (u1, v1, _) in pairwise(corners):
        w0, w1 = frame.half(v0), frame.half(v1)
        quad = [frame.at(u0, v0, w0), frame.at(u0, v0, -w0), frame.at(u1, v1, -w1), frame.at(u1, v1, w1)]
        if frame.faces_us(pen, quad):
            pen.fill(quad, face, 4, patchy)
    side = frame.visible_side(pen, length)
    if side:
        frame.side(pen, side, [(u, v) for u, v, _ in corners], lit(color, tone))
    return side


def underside(pen: Pen, frame: Frame, length: float) -> None:
    half, w = length / 2, frame.half_width
    ground = [frame.at(u, 0.0, side) for u, side in ((-half - 0.2, w + 0.25), (half + 0.2, w + 0.25),
                                                    (half + 0.2, -w - 0.25), (-half - 0.2, -w - 0.25))]  # fmt: skip
    pen.canvas.shade([pen.camera.project(v) for v in ground], 110)
    dark: Color = (22, 22, 24)
    for u in (half * 0.9, -half * 0.9):
        frame.end(pen, u, rect(-w * 0.96, 0.02, w * 0.96, 0.45), dark, 2)
    for sign in (1, -1):
        pen.fill([frame.at(u, v, sign * w * 0.96) for u, v in rect(-half * 0.9, 0.12, half * 0.9, 0.5)], dark, 2)


def wheels(pen: Pen, frame: Frame, side: int, places: Sequence[float], radius: float, hub: Color) -> None:
    for u in places:
        frame.side(pen, side, raster.circle(u, radius, radius), (20, 20, 22), 2)
        frame.side(pen, side, raster.circle(u, radius, radius * 0.55), hub, 3)


def tyres(pen: Pen, frame: Frame, u: float, radius: float) -> None:
    w = frame.half_width
    for inner, outer in ((0.72 * w, 0.98 * w), (-0.98 * w, -0.72 * w)):
        frame.end(pen, u, rect(inner, 0.0, outer, radius * 1.3), (18, 18, 20), 2)
