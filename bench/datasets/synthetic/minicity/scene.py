"""Rendering of minicity: split and index to image and labels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity import ground, sides, traffic
from bench.datasets.synthetic.minicity.camera import Camera
from bench.datasets.synthetic.minicity.canvas import HEIGHT, WIDTH, Canvas
from bench.datasets.synthetic.minicity.city import CITIES, CITIES_OF, WEATHERS, City, Street, plan_street
from bench.datasets.synthetic.minicity.dice import Dice
from bench.datasets.synthetic.minicity.frame import draw_border, draw_ego_vehicle
from bench.datasets.synthetic.minicity.labels import finish_labels
from bench.datasets.synthetic.minicity.weather import develop
from bench.datasets.synthetic.minicity.world import World, coarse

VERSION = 1  # raised when any pixel changes
SPLITS = {"train": 3000, "val": 200, "demo": 50}
# A seed for each split, so that no scene of one is in another.
SEEDS = {"train": 101, "val": 202, "demo": 303}


@dataclass(frozen=True, eq=False)
class Scene:
    """Image and labels in Cityscapes' instanceIds coding."""

    rgb: npt.NDArray[np.uint8]  # (256, 512, 3)
    instance_ids: npt.NDArray[np.uint16]  # (256, 512)
    image_id: str
    city: str


def image_name(split: str, index: int) -> tuple[str, str]:
    """Return city and image id of an index; the cities of a split alternate."""
    cities = CITIES_OF[split]
    city = cities[index % len(cities)]
    return city, f"{city}_{index:06d}_000019"


def render(split: str, index: int) -> Scene:
    """Render the scene of a split at an index, the same on every machine."""
    dice = Dice(VERSION, SEEDS[split], index)
    city_name, image_id = image_name(split, index)
    city, weather = CITIES[city_name], dice.pick(WEATHERS)
    street = plan_street(dice, city, weather)
    camera = Camera(dice.real(400.0, 500.0), dice.real(225.0, 287.0), dice.real(102.0, 130.0),
                    dice.real(1.3, 1.7), dice.real(-0.0016, 0.0016) if dice.chance(0.5) else 0.0)  # fmt: skip
    world = World(Canvas(), camera, dice, coarse(dice, (HEIGHT, WIDTH), 3, -110, 90))
    draw_street(world, street, city, weather)
    if dice.chance(0.75):
        draw_ego_vehicle(world)
    draw_border(world)
    rgb = develop(world, weather)
    ids = np.array([m.ident for m in world.canvas.materials], dtype=np.int64)[world.canvas.plane]
    return Scene(rgb, finish_labels(ids), image_id, city_name)


def draw_street(world: World, street: Street, city: City, weather: str) -> None:
    night, dice = weather == "night", world.dice
    sun = dice.side()
    ground.draw_sky(world.canvas, world.camera, weather, dice)
    sides.draw_far_end(world, street, city, night)
    ground.draw_ground(world.canvas, world.camera, street, dice)
    items = sides.place_side(world, street, city, -1, sun, night)
    items += sides.place_side(world, street, city, 1, sun, night)
    items += traffic.place_vehicles(world, street, city)
    items += traffic.place_two_wheelers(world, street)
    items += traffic.place_people(world, street, weather == "rain")
    items += traffic.place_furniture(world, street, city, night)
    # The painter's algorithm: what is nearer covers what is farther.
    for _, paint in sorted(items, key=lambda item: -item[0]):
        paint()


__all__ = ["HEIGHT", "SPLITS", "VERSION", "WIDTH", "Scene", "image_name", "render"]
