"""Subjects of the pictures: an object placed in the street, and its size, at which the camera is aimed."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.datasets.synthetic.minicity import furniture, people, tram, vehicles
from bench.datasets.synthetic.minicity.camera import Board, Camera
from bench.datasets.synthetic.minicity.city import City, Street
from bench.datasets.synthetic.minicity.dice import Dice
from bench.datasets.synthetic.minicity.traffic import AHEAD, ONCOMING, bicycle_row, car, parked, ridden
from bench.datasets.synthetic.minicity.world import BICYCLE, BUS, MOTORCYCLE, PERSON, POLE, TRAIN, TRUCK, Item, World

ASKEW = (AHEAD, ONCOMING, (0.6, 0.8), (-0.6, 0.8), (0.8, 0.6), (-0.8, -0.6), (0.8, -0.6), (1.0, 0.0), (-1.0, 0.0))
Place = Callable[[World, "Aim", City], list[Item]]


@dataclass(frozen=True)
class Aim:
    """Position (x, z) of the subject, and its box: width, height and middle in metres."""

    x: float
    z: float
    wide: float
    tall: float
    middle: float
    heading: tuple[float, float] = AHEAD

    def camera(self, dice: Dice, size: tuple[int, int], eye: float) -> Camera:
        """Return a camera at eye height with the subject near the middle, filling a large part of the frame."""
        height, width = size
        share = dice.real(0.45, 0.9)
        scale = min(share * width / self.wide, share * height / self.tall, 4.5 * width / self.z)  # px a metre
        return Camera(
            scale * self.z, width / 2 - self.x * scale + dice.real(-0.12, 0.12) * width,
            height / 2 - (eye - self.middle) * scale + dice.real(-0.02, 0.2) * height, eye, 0.0,
        )  # fmt: skip


def walk_x(dice: Dice, street: Street) -> float:
    side = dice.side()
    return dice.real(*sorted((street.kerb(side) + side * 0.6, street.walk(side) - side * 0.6)))


def aim_people(dice: Dice, street: Street) -> tuple[Aim, Place]:
    count = dice.whole(1, 4)
    aim = Aim(walk_x(dice, street), dice.real(5.0, 10.0), 0.8 + 0.7 * count, 2.0, 0.95)
    return aim, lambda world, at, city: [walker(world, at, count, step) for step in range(count)]


def walker(world: World, at: Aim, count: int, step: int) -> Item:
    dice = world.dice
    x, z = at.x + (step - (count - 1) / 2) * dice.real(0.6, 0.9), at.z + dice.real(-0.6, 0.6)
    return z, lambda: people.draw_person(world.thing(PERSON, z), dice, x, z)


def aim_crowd(dice: Dice, street: Street) -> tuple[Aim, Place]:
    aim = Aim(walk_x(dice, street), dice.real(8.0, 14.0), 4.5, 2.2, 0.95)
    return aim, crowd


def crowd(world: World, at: Aim, city: City) -> list[Item]:
    """Place a group of people, and two single people before it."""

    def draw() -> None:
        people.draw_crowd(world.pen(PERSON, at.z), world.dice, at.x, at.z, False)

    near = Aim(at.x, at.z - 1.6, at.wide, at.tall, at.middle)
    return [(at.z, draw), *(walker(world, near, 2, step * 2) for step in range(2))]


def aim_rider(dice: Dice, street: Street) -> tuple[Aim, Place]:
    aim = Aim(dice.real(max(street.left, -3.5), street.right - 0.6), dice.real(5.0, 11.0), 2.3, 2.0, 0.9)
    return aim, lambda world, at, city: [ridden(world, at.x, at.z)]


def aim_two_wheeler(dice: Dice, street: Street) -> tuple[Aim, Place]:
    label = dice.pick((MOTORCYCLE, BICYCLE))
    aim = Aim(walk_x(dice, street), dice.real(4.5, 9.0), 2.3, 1.4, 0.6)
    return aim, lambda world, at, city: [parked(world, label, at.x, at.z)]


def aim_bicycle_row(dice: Dice, street: Street) -> tuple[Aim, Place]:
    aim = Aim(walk_x(dice, street), dice.real(6.0, 10.0), 4.5, 1.8, 0.7)
    return aim, lambda world, at, city: [bicycle_row(world, at.x, at.z)]


def aim_car(dice: Dice, street: Street) -> tuple[Aim, Place]:
    heading = dice.pick(ASKEW)
    wide = 2.4 + 2.6 * abs(heading[0])
    x = dice.real(max(street.left + 1.2, -4.0), street.right - 1.2)
    aim = Aim(x, dice.real(8.0, 15.0), wide, 1.9, 0.75, heading)
    return aim, lambda world, at, city: [car(world, at.x, at.z, at.heading)]


def aim_big(dice: Dice, street: Street) -> tuple[Aim, Place]:
    label, heading = dice.pick((BUS, TRUCK, TRAIN)), dice.pick(ASKEW)
    long = {BUS: 11.0, TRUCK: 8.0, TRAIN: 18.0}[label]
    x, wide = dice.real(max(street.left + 2.0, -3.5), street.right - 1.4), 2.9 + (long - 2.9) * abs(heading[0])
    aim = Aim(x, dice.real(16.0, 26.0), wide, 4.0, 1.8, heading)
    return aim, lambda world, at, city: [big(world, at, city, label, long)]


def big(world: World, at: Aim, city: City, label: int, long: float) -> Item:
    def draw() -> None:
        pen, where = world.thing(label, at.z), (world.dice, at.x, at.z, at.heading)
        if label == BUS:
            vehicles.draw_bus(pen, *where, city.bus)
        elif label == TRUCK:
            vehicles.draw_truck(pen, *where)
        else:
            tram.draw_tram(pen, *where, city.tram)

    return at.z - long / 2 * abs(at.heading[1]), draw


def aim_light(dice: Dice, street: Street) -> tuple[Aim, Place]:
    side = dice.side()
    aim = Aim(street.kerb(side) + side * 0.4, dice.real(7.0, 12.0), 3.0, dice.real(2.6, 4.2), 3.0, (float(side), 0.0))
    return aim, light


def light(world: World, at: Aim, city: City) -> list[Item]:
    pen = world.pen(POLE, at.z)
    side = int(at.heading[0])
    return [(at.z, lambda: furniture.traffic_light(pen, world.dice, at.x, at.z, side, lambda: world.light(at.z)))]


def aim_stop_sign(dice: Dice, street: Street) -> tuple[Aim, Place]:
    side = dice.side()
    tall = dice.real(1.4, 3.2)
    aim = Aim(street.kerb(side) + side * 0.6, dice.real(5.0, 10.0), 1.4, tall, 2.6 - 0.2 * tall)
    return aim, stop_sign


def stop_sign(world: World, at: Aim, city: City) -> list[Item]:
    def draw() -> None:
        height = world.dice.real(2.3, 2.8)
        furniture.pole(world.pen(POLE, at.z), world.dice, at.x, at.z, height + 0.4, 0.08)
        furniture.stop_face(world.stop_sign(at.z), Board(at.x, at.z - 0.05), height)

    return [(at.z, draw)]


SUBJECTS = (
    aim_people, aim_people, aim_people, aim_crowd, aim_rider, aim_rider, aim_two_wheeler, aim_two_wheeler,
    aim_bicycle_row, aim_car, aim_car, aim_car, aim_big, aim_big, aim_big, aim_light, aim_light, aim_stop_sign,
    aim_stop_sign,
)  # fmt: skip
