"""Ground and sky, which fill the canvas before objects are drawn."""

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity import raster
from bench.datasets.synthetic.minicity.camera import Camera
from bench.datasets.synthetic.minicity.canvas import Canvas, Color, Material, blend, lit
from bench.datasets.synthetic.minicity.city import Street
from bench.datasets.synthetic.minicity.dice import Dice

Ints = npt.NDArray[np.int64]
ROAD, SIDEWALK, PARKING, TERRAIN, SKY, VEGETATION, BUILDING = 7, 8, 9, 22, 23, 21, 11
SKIES: dict[str, tuple[Color, Color]] = {  # top, horizon
    "day": ((96, 146, 214), (196, 216, 236)),
    "overcast": ((166, 172, 180), (206, 210, 212)),
    "dusk": ((92, 92, 140), (236, 168, 112)),
    "night": ((34, 38, 62), (70, 66, 84)),
    "fog": ((192, 196, 200), (206, 208, 210)),
    "rain": ((128, 136, 148), (172, 178, 184)),
}


def draw_sky(canvas: Canvas, camera: Camera, weather: str, dice: Dice) -> None:
    """Fill the whole canvas with a sky gradient, and add clouds."""
    top, low = SKIES[weather]
    horizon = max(1, int(camera.horizon_px))
    for row in range(canvas.size[0]):
        color = blend(top, low, min(256, row * 256 // horizon))
        canvas.plane[row] = canvas.add(Material(color, SKY, 300.0, 2, 2, 180 if weather == "dusk" else 90))
    for _ in range(dice.whole(2, 7) if weather in ("day", "dusk", "overcast") else 0):
        draw_cloud(canvas, horizon, low, dice)


def draw_cloud(canvas: Canvas, horizon: int, color: Color, dice: Dice) -> None:
    x, y = dice.whole(0, canvas.size[1]), dice.whole(0, max(1, horizon * 3 // 4))
    for tone, drop in ((15, 2), (16, 0), (17, -2)):
        white = canvas.add(Material(dice.jitter(lit(color, tone), 4), SKY, 300.0, 2, 5, 120))
        for _ in range(dice.whole(2, 4)):
            at = (x + dice.whole(-30, 30)) * 16, (y + drop + dice.whole(-3, 3)) * 16
            size = dice.whole(8, 26) * 16, dice.whole(2, 6) * 16
            canvas.paint(raster.ellipse(*at, *size, *canvas.size), white)


def draw_ground(canvas: Canvas, camera: Camera, street: Street, dice: Dice) -> None:
    """Draw road, sidewalks and grass, from the point on the ground that each pixel shows."""
    height, width = canvas.size
    first = min(height - 1, max(0, int(camera.horizon_px) + 1))
    depth = camera.ground_depth(height)[first:, None]
    across = (np.arange(width, dtype=np.float64) + 0.5 - camera.centre_px)[None] * depth / camera.focal_px
    x = np.floor((across - camera.bend * depth * depth) * 100).astype(np.int64)  # (rows, W) cm
    z = np.floor(depth * 100).astype(np.int64)  # (rows, 1) cm
    canvas.plane[first:] = surface(canvas, street, x, z, dice).astype(np.uint16)


def surface(canvas: Canvas, street: Street, x: Ints, z: Ints, dice: Dice) -> Ints:
    """Return the material numbers of the ground at (x, z) in cm."""
    left, right, walk_left, walk_right = (
        round(100 * v) for v in (street.left, street.right, street.walk_left, street.walk_right)
    )
    road = np.broadcast_to((x >= left) & (x < right), x.shape)
    if street.junction is not None:
        road = road | ((z >= round(100 * street.junction[0])) & (z < round(100 * street.junction[1])))
    out = np.where(road, road_surface(canvas, street, x, z, dice), walk_surface(canvas, x, z, dice))
    grass = grass_surface(canvas, x, z, dice)
    green = ((x < walk_left) & street.grass_left) | ((x >= walk_right) & street.grass_right)
    if street.strip:
        kerb = right + 40 if street.strip > 0 else left - 200
        green = green | ((x >= kerb) & (x < kerb + 160))
    out = np.where(green & ~road, grass, out)
    kerb_stone = ((x >= left - 22) & (x < left)) | ((x >= right) & (x < right + 22))
    stone = canvas.add(Material(dice.jitter((176, 172, 166), 10), SIDEWALK, -1.0, 4, 3))
    out = np.where(kerb_stone & ~road, stone, out)
    if street.parking:
        bay = (x >= right - 210) if street.parking > 0 else (x < left + 210)
        out = np.where(bay & road & (x >= left) & (x < right), parking_surface(canvas, z, dice), out)
    return out


def road_surface(canvas: Canvas, street: Street, x: Ints, z: Ints, dice: Dice) -> Ints:
    grey = dice.whole(74, 104) - (18 if street.wet else 0)
    tint: Color = (grey + dice.whole(-2, 4), grey, grey + dice.whole(-2, 5))

    def tone(sixteenths: int, rough: int = 6) -> int:
        return canvas.add(Material(lit(tint, sixteenths), ROAD, -1.0, rough, 5))

    marks = canvas.add(Material(dice.jitter((206, 206, 200), 12), ROAD, -1.0, 6, 8))
    out = np.full(x.shape, tone(16))
    for _ in range(dice.whole(1, 4)):  # patches of newer or older asphalt
        px, pz = dice.whole(-700, 300), dice.whole(500, 2500)
        wide, long = dice.whole(60, 300), dice.whole(150, 700)
        inside = (x >= px) & (x < px + wide) & (z >= pz) & (z < pz + long)
        out = np.where(inside, tone(dice.pick((12, 13, 14, 18, 19))), out)
    dash = z % 900 < 350 if dice.chance(0.75) else z >= 0
    for line in (
        -175 + dice.whole(-15, 15),
        *((round(100 * street.right) - 25,) if dice.chance(0.3) else ()),
    ):
        out = np.where((x >= line - 7) & (x < line + 8) & dash, marks, out)
    if street.rails is not None:
        out = rail_marks(canvas, out, x, z, round(100 * street.rails), tone(19), tone(13))
    if street.crossing is not None:
        at = round(100 * street.crossing)
        zebra = (z >= at) & (z < at + 300) & (x % 100 < 50)
        out = np.where(zebra, marks, out)
        out = np.where((z >= at - 150) & (z < at - 110) & (x > -175), marks, out)
    cover = (x - dice.whole(-250, 200)) ** 2 + (z - dice.whole(600, 1600)) ** 2 < 34 * 34
    return np.where(cover, tone(9), out)


def rail_marks(canvas: Canvas, out: Ints, x: Ints, z: Ints, middle: int, bed: int, dark: int) -> Ints:
    """Add tram rails; they are road, as in Cityscapes."""
    steel = canvas.add(Material((150, 154, 162), ROAD, -1.0, 3, 2))
    off = np.abs(x - middle)
    out = np.where(off < 125, np.where(z % 150 < 12, dark, bed), out)
    out = np.where((off >= 58) & (off < 68), dark, out)
    return np.where((off >= 68) & (off < 80), steel, out)


def walk_surface(canvas: Canvas, x: Ints, z: Ints, dice: Dice) -> Ints:
    base = dice.jitter(dice.pick(((162, 150, 146), (150, 146, 144), (170, 156, 140), (146, 132, 132))), 8)
    slab, other, joint = (canvas.add(Material(lit(base, tone), SIDEWALK, -1.0, 5, 5)) for tone in (16, 15, 13))
    size = dice.pick((60, 80, 120))
    out = np.where((x // size + z // size) % 2 == 0, slab, other)
    return np.where(((x % size < 5) | (z % size < 7)) & (z < 1800), joint, out)


def grass_surface(canvas: Canvas, x: Ints, z: Ints, dice: Dice) -> Ints:
    base = dice.jitter(dice.pick(((112, 142, 62), (128, 148, 66), (140, 140, 78), (146, 122, 84))), 10)
    light, dark = (canvas.add(Material(lit(base, tone), TERRAIN, -1.0, 12, 14)) for tone in (16, 14))
    return np.where((x // 90 * 7 + z // 130 * 3) % 5 < 2, dark, light)


def parking_surface(canvas: Canvas, z: Ints, dice: Dice) -> Ints:
    """Return a parking bay (ignored in evaluation)."""
    base = dice.jitter((118, 104, 98), 8)
    stones, gap, line = (canvas.add(Material(c, PARKING, -1.0, 9, 6)) for c in (base, lit(base, 14), (200, 200, 196)))
    return np.where(z % 560 < 14, line, np.where(z % 40 < 20, stones, gap))
