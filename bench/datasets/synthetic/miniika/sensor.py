"""Another camera: more haze, a low sun in the lens, another colour response, a softer lens, more noise."""

from math import isqrt

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity.dice import Dice
from bench.datasets.synthetic.minicity.weather import Ints, soften

AIR = {"day": (222, 208, 180), "overcast": (206, 204, 190), "dusk": (226, 176, 120), "fog": (204, 202, 190),
       "rain": (168, 176, 172)}  # fmt: skip
# Depth at which half of the light is haze.
HAZE_M = {"day": 600, "overcast": 460, "dusk": 440, "fog": 240, "rain": 330}
SUN = {"day": 0.4, "dusk": 0.6}  # chance that it shines into the lens
BALANCE = (268, 256, 234)  # gain of red, green and blue, of 256
COLORFUL = 216  # of 256
# A curve between linear and square root, with grey shadows; isqrt, since it is exact on every machine.
TONE = np.array([4 + (5 * v + isqrt(255 * v)) * 21 // 128 for v in range(256)], dtype=np.int32)


def expose_again(rgb: npt.NDArray[np.uint8], depth: Ints, horizon: float, weather: str,
                 dice: Dice) -> npt.NDArray[np.uint8]:  # fmt: skip
    """Return the image of the other camera from RGB (H, W, 3) and depth (H, W) in decimetres."""
    light = thicken(rgb.astype(np.int32), depth, weather, dice)
    if dice.chance(SUN.get(weather, 0.0)):
        light = shine(light, round(horizon), dice)
    balanced = light * np.array([gain + dice.whole(-8, 8) for gain in BALANCE], dtype=np.int32) >> 8
    # The weights of ITU-R BT.601, of 256.
    grey = (balanced * (77, 150, 29)).sum(axis=-1, keepdims=True) >> 8
    toned = TONE[np.clip(grey + ((balanced - grey) * COLORFUL >> 8), 0, 255)]
    return grain(darken_corners(soften(toned)), dice)


def thicken(rgb: Ints, depth: Ints, weather: str, dice: Dice) -> Ints:
    """Add haze by depth, and a constant share of it before the sky."""
    half = HAZE_M[weather] * dice.whole(8, 14)
    share = np.where(depth >= 3000, 36, depth * 256 // (depth + half))[..., None]
    mixed: Ints = (rgb * (256 - share) + np.array(AIR[weather], dtype=np.int32) * share) >> 8
    return mixed


def shine(rgb: Ints, horizon: int, dice: Dice) -> Ints:
    height, width, _ = rgb.shape
    x, y = dice.whole(width // 8, width * 7 // 8), max(0, horizon - dice.whole(15, 70))
    rows, columns = np.arange(height, dtype=np.int32)[:, None], np.arange(width, dtype=np.int32)[None]
    far = (rows - y) ** 2 + (columns - x) ** 2
    reach = dice.whole(30, 70) ** 2
    share = (210 * reach // (reach + far)).astype(np.int32)[..., None]
    mixed: Ints = (rgb * (256 - share) + np.array((255, 238, 196), dtype=np.int32) * share) >> 8
    return mixed


def darken_corners(rgb: Ints) -> Ints:
    height, width, _ = rgb.shape
    rows, columns = np.arange(height) - height // 2, np.arange(width) - width // 2
    far = rows[:, None] ** 2 + columns[None] ** 2
    share = (256 - far * 80 // ((height // 2) ** 2 + (width // 2) ** 2)).astype(np.int32)
    darker: Ints = rgb * share[..., None] >> 8
    return darker


def grain(rgb: Ints, dice: Dice) -> npt.NDArray[np.uint8]:
    """Add noise of a small sensor: luminance noise, colour noise and row noise."""
    height, width, _ = rgb.shape
    noise = dice.whole(2, 4)
    noisy = rgb + dice.generator.integers(-noise, noise + 1, (height, width, 1), dtype=np.int32)
    noisy += dice.generator.integers(-noise, noise + 1, (height, width, 1), dtype=np.int32)
    noisy += dice.generator.integers(-noise, noise + 1, rgb.shape, dtype=np.int32)
    noisy += dice.generator.integers(-2, 3, (height, 1, 1), dtype=np.int32)
    exposed: npt.NDArray[np.uint8] = np.clip(noisy, 0, 255).astype(np.uint8)
    return exposed
