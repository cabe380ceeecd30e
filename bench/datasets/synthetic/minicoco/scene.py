"""Rendering of minicoco: split and index to image and segments."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity import ground, sides, traffic
from bench.datasets.synthetic.minicity.camera import Camera
from bench.datasets.synthetic.minicity.canvas import Canvas
from bench.datasets.synthetic.minicity.city import CITIES, City, Street, plan_street
from bench.datasets.synthetic.minicity.dice import Dice
from bench.datasets.synthetic.minicity.labels import finish_labels
from bench.datasets.synthetic.minicity.weather import develop
from bench.datasets.synthetic.minicity.world import Item, World, coarse
from bench.datasets.synthetic.minicoco.labels import panoptic_of
from bench.datasets.synthetic.minicoco.subjects import SUBJECTS, Aim, Place
from bench.types import Panoptic

VERSION = 1  # raised when any pixel changes
SPLITS = {"train": 3000, "val": 200, "demo": 50}
SEEDS = {"train": 520, "val": 621, "demo": 722}
FIRST_ID = {"train": 200_001, "val": 1, "demo": 100_001}  # image ids run on from here
SIZES = (  # height, width
    (240, 320), (240, 320), (240, 320), (214, 320), (200, 300), (256, 256), (320, 240), (300, 224),
)  # fmt: skip
WEATHERS = ("day", "day", "day", "day", "day", "overcast", "overcast", "overcast", "dusk", "night", "rain")
# Remainders below these areas are void: they could not be recognized.
THING_PX, STUFF_PX = 24, 64
WIDE_SHOT = 0.2  # share of pictures of the street as a whole


@dataclass(frozen=True, eq=False)
class Picture:
    """RGB image (H, W, 3) and its segments."""

    rgb: npt.NDArray[np.uint8]
    panoptic: Panoptic
    image_id: int


def render(split: str, index: int) -> Picture:
    """Render the picture of a split at an index, the same on every machine."""
    dice = Dice(VERSION, SEEDS[split], index)
    city, weather, size = CITIES[dice.pick(tuple(CITIES))], dice.pick(WEATHERS), dice.pick(SIZES)
    street = plan_street(dice, city, weather)
    eye = dice.real(1.2, 1.9)
    if dice.chance(WIDE_SHOT):
        aim, place, camera = None, None, wide_camera(dice, size, eye)
    else:
        aim, place = dice.pick(SUBJECTS)(dice, street)
        camera = aim.camera(dice, size, eye)
    world = World(Canvas(size), camera, dice, coarse(dice, size, 3, -110, 90), signals_apart=True)
    draw(world, street, city, weather, aim, place)
    rgb = tint(develop(world, weather), dice)
    ids = np.array([m.ident for m in world.canvas.materials], dtype=np.int64)[world.canvas.plane]
    return Picture(rgb, panoptic_of(finish_labels(ids, THING_PX, STUFF_PX)), FIRST_ID[split] + index)


def wide_camera(dice: Dice, size: tuple[int, int], eye: float) -> Camera:
    """Return a camera at eye height in the street, looking along it or to one side."""
    height, width = size
    return Camera(dice.real(0.8, 1.5) * width, dice.real(0.1, 0.9) * width, dice.real(0.4, 0.68) * height, eye, 0.0)


def draw(world: World, street: Street, city: City, weather: str, aim: Aim | None, place: Place | None) -> None:
    """Draw the street as in minicity, with fewer objects and few in front of the subject."""
    night, dice = weather == "night", world.dice
    sun = dice.side()
    ground.draw_sky(world.canvas, world.camera, weather, dice)
    sides.draw_far_end(world, street, city, night)
    ground.draw_ground(world.canvas, world.camera, street, dice)
    rows = [item for side in (-1, 1) for item in sides.place_side(world, street, city, side, sun, night)]
    items = traffic.place_vehicles(world, street, city)
    items += traffic.place_two_wheelers(world, street)
    items += traffic.place_people(world, street, weather == "rain")
    items += traffic.place_furniture(world, street, city, night)
    if aim is None or place is None:
        items = thin_out(dice, items, 6.0, dice.real(0.4, 0.8))
    else:
        items = thin_out(dice, items, aim.z + 2.5, dice.real(0.15, 0.6)) + place(world, aim, city)
    for _, paint in sorted([*rows, *items], key=lambda item: -item[0]):
        paint()


def thin_out(dice: Dice, items: list[Item], nearest: float, share: float) -> list[Item]:
    """Keep a `share` of the items beyond `nearest`, and 6 % of the nearer ones."""
    # Few of the near ones, which would cover the subject.
    return [item for item in items if dice.chance(share if item[0] > nearest else 0.06)]


def tint(rgb: npt.NDArray[np.uint8], dice: Dice) -> npt.NDArray[np.uint8]:
    """Apply a random white balance: gains of the channels, of 256."""
    gains = np.array([dice.whole(232, 280) for _ in range(3)], dtype=np.int32)
    tinted: npt.NDArray[np.uint8] = np.minimum(rgb * gains >> 8, 255).astype(np.uint8)
    return tinted
