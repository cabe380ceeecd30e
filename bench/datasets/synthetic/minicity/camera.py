"""Camera model (metres to 1/16 px), and a pen that draws through it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity import raster
from bench.datasets.synthetic.minicity.canvas import Canvas, Color, Material

Vertex = tuple[float, float, float]  # right, up, ahead, in metres; the ground is up = 0
# Nearer points would be projected far outside of the image, or from behind the camera.
NEAR_M = 2.2
# Polygons are filled in integers of 1/16 px, whose products must stay far below 2^63.
FAR_PX = 20_000
SKIP = -1  # a texture leaves such pixels as they are
Whole = npt.NDArray[np.int32]
Texture = Callable[[Whole, Whole], Whole]


@dataclass(frozen=True)
class Camera:
    """Pinhole camera behind the windscreen, looking ahead; a bend in the street adds bend * z * z to x."""

    focal_px: float
    centre_px: float
    horizon_px: float
    height_m: float
    bend: float

    def project(self, vertex: Vertex) -> tuple[int, int]:
        """Return the pixel position in 1/16 px; depths below `NEAR_M` are clamped to it."""
        x, y, z = vertex
        scale = self.focal_px / (z if z > NEAR_M else NEAR_M)
        px = self.centre_px + (x + self.bend * z * z) * scale
        py = self.horizon_px + (self.height_m - y) * scale
        if not (-FAR_PX < px < FAR_PX and -FAR_PX < py < FAR_PX):
            px, py = min(max(px, -FAR_PX), FAR_PX), min(max(py, -FAR_PX), FAR_PX)
        # From here on everything is in integers: they are equal on every machine.
        return round(px * 16), round(py * 16)

    def metres_per_px(self, z: float) -> float:
        return max(z, NEAR_M) / self.focal_px

    def ground_depth(self, height: int) -> npt.NDArray[np.float64]:
        """Return the depth in metres of the ground in each of `height` rows; 300 at or above the horizon."""
        below = np.arange(height, dtype=np.float64) + 0.5 - self.horizon_px
        return np.minimum(self.focal_px * self.height_m / np.maximum(below, 1e-3), 300.0)


@dataclass(frozen=True)
class Board:
    """Vertical plane from (x, z) along (dx, dz); its points are (u, v), along and up, in metres."""

    x: float
    z: float
    dx: float = 1.0
    dz: float = 0.0
    base: float = 0.0

    def at(self, point: tuple[float, float]) -> Vertex:
        u, v = point
        return self.x + u * self.dx, self.base + v, self.z + u * self.dz


@dataclass(frozen=True)
class Pen:
    """Draws for one instance or stuff class at one depth."""

    canvas: Canvas
    camera: Camera
    ident: int
    depth_m: float

    def material(self, color: Color, rough: int = 4, patchy: int = 0, glow: int = 0) -> Material:
        return Material(color, self.ident, self.depth_m, rough, patchy, glow)

    def mask(self, vertices: Sequence[Vertex]) -> tuple[raster.Bools, int, int] | None:
        return raster.polygon([self.camera.project(v) for v in vertices], *self.canvas.size)

    def fill(self, vertices: Sequence[Vertex], color: Color, rough: int = 4, patchy: int = 0,
             glow: int = 0) -> None:  # fmt: skip
        mask = self.mask(vertices)
        if mask is not None:
            self.canvas.paint(mask, self.canvas.add(self.material(color, rough, patchy, glow)))

    def flat(self, board: Board, points: Sequence[tuple[float, float]], color: Color, rough: int = 4,
             glow: int = 0) -> None:  # fmt: skip
        self.fill([board.at(p) for p in points], color, rough, 0, glow)

    def rect(self, board: Board, u0: float, v0: float, u1: float, v1: float, color: Color,
             rough: int = 4, glow: int = 0) -> None:  # fmt: skip
        self.flat(board, [(u0, v0), (u1, v0), (u1, v1), (u0, v1)], color, rough, glow)

    def line(self, board: Board, a: tuple[float, float], b: tuple[float, float], width: float,
             color: Color) -> None:  # fmt: skip
        """Draw a line of at least 1.2 px."""
        # A thinner line would pass between the pixel centres in places.
        self.flat(board, raster.bar(a, b, max(width, 1.2 * self.camera.metres_per_px(board.z))), color)

    def disc(self, board: Board, u: float, v: float, radius: float, color: Color, glow: int = 0) -> None:
        self.flat(board, raster.circle(u, v, radius), color, 4, glow)

    def blob(self, at: Vertex, rx: float, ry: float, color: Color, rough: int, patchy: int,
             ragged: npt.NDArray[np.int64] | None = None) -> None:  # fmt: skip
        """Draw an upright ellipse facing the camera, radii in metres; `ragged` makes its edge irregular."""
        cx, cy = self.camera.project(at)
        scale = 16 / self.camera.metres_per_px(at[2])
        mask = raster.ellipse(cx, cy, round(rx * scale), round(ry * scale), *self.canvas.size, ragged)
        if mask is not None:
            self.canvas.paint(mask, self.canvas.add(self.material(color, rough, patchy)))

    def textured(self, board: Board, u1: float, v1: float, texture: Texture, v0: float = 0.0) -> None:
        """Draw the rectangle (0, v0)-(u1, v1) of a board; `texture` maps u, v in cm to material numbers."""
        corners = [board.at(p) for p in ((0.0, v0), (u1, v0), (u1, v1), (0.0, v1))]
        mask = self.mask(corners)
        if mask is None:
            return
        inside, y0, x0 = mask
        xa, xb = self.camera.project(corners[0])[0], self.camera.project(corners[1])[0]
        za, zb = max(corners[0][2], NEAR_M), max(corners[1][2], NEAR_M)
        # On a vertical plane 1/z and u/z are linear in the image column, which gives u and z of each column.
        columns = (np.arange(x0, x0 + inside.shape[1], dtype=np.float64) * 16 + 8 - xa) / ((xb - xa) or 1)
        inverse = 1 / za + columns * (1 / zb - 1 / za)
        inverse = np.maximum(inverse, 1e-3)
        rows = np.arange(y0, y0 + inside.shape[0], dtype=np.float64) + 0.5 - self.camera.horizon_px
        u = np.floor(np.clip(columns * (u1 / zb) / inverse, -1e4, 1e4) * 100).astype(np.int32)[None]
        up = self.camera.height_m - rows[:, None] / (inverse * self.camera.focal_px)[None] - board.base
        paint = texture(u, np.floor(np.clip(up, -1e4, 1e4) * 100).astype(np.int32))
        self.canvas.paint((inside & (paint != SKIP), y0, x0), np.maximum(paint, 0))
