"""Materials to pixels: texture, light, fog, rain, lamps and sensor noise."""

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity.canvas import Color, table
from bench.datasets.synthetic.minicity.dice import Dice
from bench.datasets.synthetic.minicity.ground import SKIES
from bench.datasets.synthetic.minicity.world import World, coarse

Ints = npt.NDArray[np.int32]
LIGHT: dict[str, tuple[int, int, int]] = {  # gain of red, green and blue, of 256
    "day": (262, 258, 248), "overcast": (228, 230, 234), "dusk": (214, 178, 160),
    "night": (112, 116, 144), "fog": (226, 228, 230), "rain": (176, 182, 192),
}  # fmt: skip
# Depth at which half of the light is haze.
HAZE_M = {"day": 900, "overcast": 500, "dusk": 500, "night": 600, "fog": 55, "rain": 220}
NOISE = {"day": 2, "overcast": 2, "dusk": 3, "night": 5, "fog": 3, "rain": 3}


def develop(world: World, weather: str) -> npt.NDArray[np.uint8]:
    """Return RGB (H, W, 3) of a finished canvas in this weather."""
    dice, plane, materials = world.dice, world.canvas.plane, world.canvas.materials
    rgb = np.array([m.color for m in materials], dtype=np.int32)[plane]
    fine = dice.generator.integers(-8, 9, plane.shape, dtype=np.int8).astype(np.int32)
    texture = fine * table(materials, "rough").astype(np.int32)[plane] >> 3
    patches = coarse(dice, world.canvas.size, 4, -8, 8).astype(np.int32)
    texture += patches * table(materials, "patchy").astype(np.int32)[plane] >> 3
    rgb += texture[..., None]
    depth = depth_plane(world)
    shade = np.where(np.array([m.depth_m < 0 for m in materials])[plane], world.canvas.shadow, 0).astype(np.int32)
    strength = {"day": 256, "dusk": 160}.get(weather, 110)
    rgb = rgb * (256 - (shade * strength >> 8))[..., None] >> 8
    glow = table(materials, "glow")[plane].astype(np.int32)
    rgb = illuminate(rgb, glow, weather)
    rgb = haze(rgb, depth, weather, dice)
    if weather == "night":
        rgb += halo(glow)[..., None] * np.array((230, 200, 150), dtype=np.int32) >> 8
    if weather == "rain":
        rgb = streaks(rgb, dice)
    return expose(soften(rgb), NOISE[weather] + dice.whole(-1, 1), dice)


def depth_plane(world: World) -> Ints:
    """Return the depth of each pixel in decimetres; on the ground it follows from the row."""
    own = np.array([round(m.depth_m * 10) for m in world.canvas.materials], dtype=np.int32)[world.canvas.plane]
    rows = np.floor(world.camera.ground_depth(world.canvas.size[0]) * 10).astype(np.int32)
    return np.where(own < 0, rows[:, None], own)


def illuminate(rgb: Ints, glow: Ints, weather: str) -> Ints:
    """Apply the colour of the light; glowing materials keep their own in the dark."""
    gain = np.array(LIGHT[weather], dtype=np.int32)
    if weather == "day":
        return rgb * gain >> 8
    own = glow[..., None]
    return rgb * ((gain * (256 - own) >> 8) + own) >> 8


def haze(rgb: Ints, depth: Ints, weather: str, dice: Dice) -> Ints:
    """Blend to the colour of the air, with share z / (z + half)."""
    # Not 1 - exp(-z): exponentials differ between machines in the last bit.
    air: Color = SKIES[weather][1]
    half = HAZE_M[weather] * 10 * dice.whole(80, 130) // 100
    share = np.minimum(depth * 256 // (depth + half), 236)
    if weather != "fog":
        # 300 m is the depth of the sky, which has its own colours.
        share = np.where(depth >= 3000, 0, share)
    mixed: Ints = rgb * (256 - share)[..., None] + np.array(air, dtype=np.int32) * share[..., None]
    return mixed >> 8


def halo(glow: Ints) -> Ints:
    """Return the light around lamps: bright glow after two box filters."""
    out = np.where(glow > 200, 255, 0).astype(np.int32)
    for radius in (3, 5):
        for axis in (0, 1):
            total = out.copy()
            for step in range(1, radius + 1):
                total += np.roll(out, step, axis) + np.roll(out, -step, axis)
            out = total // (2 * radius + 1)
    return out


def streaks(rgb: Ints, dice: Dice) -> Ints:
    out = rgb.copy()
    height, width, _ = rgb.shape
    for _ in range(dice.whole(60, 140)):
        x, y, long = dice.whole(0, width - 9), dice.whole(0, height - 25), dice.whole(8, 22)
        rows = np.arange(y, y + long)
        columns = x + (rows - y) // 4
        out[rows, columns] = (out[rows, columns] * 3 + 220) // 4
    return out


def soften(rgb: Ints) -> Ints:
    """Blur with weights 1-6-1 in both directions, as a lens does."""
    out = rgb * 6
    out[:, 1:-1] += rgb[:, :-2] + rgb[:, 2:]
    out[:, 0] += rgb[:, 0] + rgb[:, 1]
    out[:, -1] += rgb[:, -1] + rgb[:, -2]
    down = out * 6
    down[1:-1] += out[:-2] + out[2:]
    down[0] += out[0] + out[1]
    down[-1] += out[-1] + out[-2]
    return down >> 6


def expose(rgb: Ints, noise: int, dice: Dice) -> npt.NDArray[np.uint8]:
    """Apply exposure and sensor noise (sum of two uniform numbers), clipped to 0..255."""
    gain = dice.whole(236, 276)
    # The sum of two uniform numbers is close to a bell curve, and needs no floats.
    grain = dice.generator.integers(-noise, noise + 1, rgb.shape, dtype=np.int8)
    grain += dice.generator.integers(-noise, noise + 1, rgb.shape, dtype=np.int8)
    exposed: npt.NDArray[np.uint8] = np.clip((rgb * gain >> 8) + grain, 0, 255).astype(np.uint8)
    return exposed
