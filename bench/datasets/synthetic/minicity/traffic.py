"""Vehicles, riders, people and furniture: placed first, then drawn from far to near."""

from collections.abc import Callable
from functools import partial

from bench.datasets.synthetic.minicity import furniture, people, plants, tram, vehicles
from bench.datasets.synthetic.minicity.camera import Board
from bench.datasets.synthetic.minicity.city import City, Street
from bench.datasets.synthetic.minicity.world import (
    BICYCLE,
    BUS,
    CAR,
    MOTORCYCLE,
    PERSON,
    POLE,
    RIDER,
    STATIC,
    TRAIN,
    TRUCK,
    VEGETATION,
    Item,
    World,
)

AHEAD, ONCOMING = (0.0, 1.0), (0.0, -1.0)
OBLIQUE = ((0.6, 0.8), (-0.6, 0.8), (0.8, 0.6), (-0.8, -0.6))


class Slots:
    """Occupied ranges of the lanes."""

    def __init__(self) -> None:
        self.taken: dict[str, list[tuple[float, float]]] = {}

    def take(self, lane: str, z: float, half: float) -> bool:
        """Reserve z - half..z + half in a lane; return False if it is occupied."""
        runs = self.taken.setdefault(lane, [])
        if any(z - half < b and z + half > a for a, b in runs):
            return False
        runs.append((z - half, z + half))
        return True


def near_heavy(world: World, near: float, far: float) -> float:
    """Return a random depth, biased to near ones (product of two uniform numbers)."""
    lean = world.dice.real(0.0, 1.0) * world.dice.real(0.35, 1.0)
    return near + (far - near) * lean


def place_vehicles(world: World, street: Street, city: City) -> list[Item]:
    dice, slots, items = world.dice, Slots(), list[Item]()
    lanes = {"own": 0.0, "oncoming": street.left + 6.4 if street.rails is not None else min(-3.3, street.left + 1.8)}
    parked = {"kerb right": (street.right - 1.15, AHEAD), "kerb left": (street.left + 1.15, ONCOMING)}
    if street.rails is not None:
        parked.pop("kerb left")
        if dice.chance(0.93):
            items.append(place_tram(world, street, city))
    elif dice.chance(0.12):
        items.append(place_crossing_train(world, street, city))
    for label, chance in ((TRUCK, 0.5), (BUS, 0.48), (TRUCK, 0.1)):
        if dice.chance(chance):
            items += place_big(world, slots, lanes, street, city, label)
    for lane, heading in (("own", AHEAD), ("oncoming", ONCOMING)):
        for _ in range(dice.whole(0, 3)):
            z = near_heavy(world, 9.0, 60.0)
            if slots.take(lane, z, 3.4):
                items.append(car(world, lanes[lane] + dice.real(-0.25, 0.25), z, heading))
    for lane, (x, heading) in parked.items():
        full = dice.pick((0.0, 0.35, 0.6, 0.8)) if street.right > 3.4 or lane == "kerb left" else 0.0
        z = dice.real(5.0, 9.0)
        while z < 48.0:
            if dice.chance(full) and not street.blocked(z - 3, z + 3) and slots.take(lane, z, 2.4):
                turned = heading if dice.chance(0.85) else (heading[0], -heading[1])
                items.append(car(world, x, z, turned))
            z += dice.real(5.2, 6.6)
    return items + place_crossing_cars(world, street) + place_far_cars(world, street)


def car(world: World, x: float, z: float, heading: tuple[float, float]) -> Item:
    return z - 2.0 * abs(heading[1]), lambda: vehicles.draw_car(world.thing(CAR, z), world.dice, x, z, heading)


def place_crossing_cars(world: World, street: Street) -> list[Item]:
    dice, items = world.dice, list[Item]()
    if street.junction is not None:
        z = (street.junction[0] + street.junction[1]) / 2
        for x in range(-24, 26, 9):
            if dice.chance(0.3):
                items.append(car(world, x + dice.real(-2.0, 2.0), z + dice.real(-1.5, 1.5), (float(dice.side()), 0.0)))
    elif dice.chance(0.3):
        items.append(car(world, dice.real(-4.0, 1.0), dice.real(16.0, 34.0), dice.pick(OBLIQUE)))
    return items


def place_far_cars(world: World, street: Street) -> list[Item]:
    """Place a distant traffic jam, labelled as a group."""
    if not world.dice.chance(0.18):
        return []

    def draw() -> None:
        for z in (78.0, 72.0, 67.0, 62.0):
            vehicles.draw_car(world.pen(CAR, z), world.dice, -0.4 + world.dice.real(-0.3, 0.3), z, AHEAD)

    return [(70.0, draw)]


def place_big(world: World, slots: Slots, lanes: dict[str, float], street: Street, city: City,
              label: int) -> list[Item]:  # fmt: skip
    """Place a truck or a bus in a lane or across the junction; nothing if the place is occupied."""
    dice = world.dice
    if street.junction is not None and dice.chance(0.35):
        x, z, heading = dice.real(-9.0, 9.0), street.junction[0] + 4.0, (float(dice.side()), 0.0)
        if not slots.take("across", 0.0, 1.0):
            return []
    else:
        lane = dice.pick(("own", "oncoming", "oncoming"))
        x, z, heading = lanes[lane], near_heavy(world, 15.0, 46.0), AHEAD if lane == "own" else ONCOMING
        if not slots.take(lane, z, 7.5):
            return []
    key = z - 4.5 * abs(heading[1])  # things on the sidewalk beside it are behind its side
    if label == BUS:
        return [(key, lambda: vehicles.draw_bus(world.thing(BUS, z), dice, x, z, heading, city.bus))]
    return [(key, lambda: vehicles.draw_truck(world.thing(TRUCK, z), dice, x, z, heading))]


def place_tram(world: World, street: Street, city: City) -> Item:
    assert street.rails is not None
    x, z, heading = street.rails, world.dice.real(22.0, 46.0), world.dice.pick((AHEAD, ONCOMING))
    return z - 9.0, lambda: tram.draw_tram(world.thing(TRAIN, z), world.dice, x, z, heading, city.tram)


def place_crossing_train(world: World, street: Street, city: City) -> Item:
    x, z = world.dice.real(-10.0, 10.0), world.dice.real(30.0, 50.0)
    return z, lambda: tram.draw_tram(world.thing(TRAIN, z), world.dice, x, z, (1.0, 0.0), city.tram)


def place_two_wheelers(world: World, street: Street) -> list[Item]:
    dice, items = world.dice, list[Item]()
    for _ in range(dice.pick((0, 1, 1, 2, 2, 3))):
        edge = street.right - (2.7 if street.right > 3.4 else 0.6)  # clear of the parked cars
        x = dice.real(min(street.left + 2.6, -2.0), edge) if dice.chance(0.6) else edge
        items.append(ridden(world, x, near_heavy(world, 6.0, 28.0)))
    for label, chance in ((MOTORCYCLE, 0.42), (BICYCLE, 0.4), (BICYCLE, 0.25), (MOTORCYCLE, 0.1)):
        if dice.chance(chance):
            side = dice.side()
            items.append(
                parked(world, label, street.kerb(side) + side * dice.real(0.5, 1.4), near_heavy(world, 7.0, 26.0))
            )
    if dice.chance(0.3):
        side = dice.side()
        items.append(bicycle_row(world, street.walk(side) - side * 0.9, near_heavy(world, 8.0, 26.0)))
    return items


def ridden(world: World, x: float, z: float) -> Item:
    """Place a rider on a bicycle or motorcycle: two instances on one board."""
    dice = world.dice
    motor, narrow = dice.chance(0.45), dice.chance(0.4)
    turn = dice.pick(((1.0, 0.0), (-1.0, 0.0), (0.8, 0.6), (-0.8, 0.6), (0.6, -0.8)))
    board = Board(x, z, *(turn if not narrow else (1.0, 0.0)))

    def draw() -> None:
        label, wheels = (MOTORCYCLE, people.draw_motorcycle) if motor else (BICYCLE, people.draw_bicycle)
        wheels(world.thing(label, z), dice, board, narrow)
        people.draw_rider(world.thing(RIDER, z), dice, board, narrow, motor)

    return z, draw


def parked(world: World, label: int, x: float, z: float) -> Item:
    draw = people.draw_motorcycle if label == MOTORCYCLE else people.draw_bicycle
    board = Board(x, z, *world.dice.pick(((1.0, 0.0), (-1.0, 0.0), (0.8, 0.6), (-0.8, 0.6))))
    return z, lambda: draw(world.thing(label, z), world.dice, board, False)


def bicycle_row(world: World, x: float, z: float) -> Item:
    """Place parked bicycles side by side, labelled as a group."""
    dice = world.dice

    def draw() -> None:
        for step in range(dice.whole(5, 8), 0, -1):
            board = Board(x + dice.real(-0.1, 0.1), z + step * 0.45, 0.8, 0.6)
            people.draw_bicycle(world.pen(BICYCLE, z), dice, board, False)

    return z, draw


def place_people(world: World, street: Street, rain: bool) -> list[Item]:
    dice, items = world.dice, list[Item]()

    def walker(x: float, z: float) -> Item:
        return z, lambda: people.draw_person(world.thing(PERSON, z), dice, x, z, rain)

    for _ in range(dice.whole(3, 8)):
        side = dice.side()
        x = dice.real(*sorted((street.kerb(side) + side * 0.5, street.walk(side) - side * 0.3)))
        items.append(walker(x, near_heavy(world, 5.5, 34.0)))
    if street.crossing is not None:
        for _ in range(dice.whole(0, 3)):
            items.append(walker(dice.real(street.left, street.right), street.crossing + dice.real(0.5, 2.5)))
    if dice.chance(0.28):
        side, z = dice.side(), dice.real(14.0, 34.0)
        x = (street.kerb(side) + street.walk(side)) / 2
        items.append((z, lambda: people.draw_crowd(world.pen(PERSON, z), dice, x, z, rain)))
    return items


def place_furniture(world: World, street: Street, city: City, night: bool) -> list[Item]:
    dice, items = world.dice, list[Item]()

    def put(z: float, label: int, draw: Callable[..., None], x: float, *more: object) -> None:
        items.append((z, lambda: draw(world.pen(label, z), dice, x, z, *more)))

    for side in (-1, 1):
        kerb, start = street.kerb(side) + side * 0.45, dice.real(8.0, 20.0)
        for step in range(3):
            if dice.chance(0.7):
                put(start + step * 16.0, POLE, furniture.lamp_post, kerb, side, night)
        for _ in range(dice.whole(0, 2)):
            z = near_heavy(world, 8.0, 34.0)
            put(z, POLE, furniture.sign_post, kerb + side * 0.2, partial(world.stop_sign, z))
        for _ in range(dice.whole(0, 4) if dice.chance(city.green) else 0):
            put(dice.real(9.0, 55.0), VEGETATION, plants.draw_tree, kerb + side * 0.5, world.ragged)
        if dice.chance(0.3):
            put(near_heavy(world, 7.0, 25.0), STATIC, furniture.oddity, street.walk(side) - side * 0.6)
        if street.grass_left if side < 0 else street.grass_right:
            for _ in range(dice.whole(0, 4)):
                put(
                    dice.real(7.0, 40.0),
                    VEGETATION,
                    plants.draw_bush,
                    street.walk(side) + side * dice.real(0.8, 2.5),
                    world.ragged,
                )
    if street.junction is not None or dice.chance(0.4):
        z = street.junction[0] - 1.0 if street.junction is not None else dice.real(10.0, 26.0)
        for side in (-1, 1) if dice.chance(0.7) else (1,):
            put(z, POLE, furniture.traffic_light, street.kerb(side) + side * 0.4, side, partial(world.light, z))
    if dice.chance(0.16):
        put(dice.real(14.0, 30.0), POLE, furniture.direction_board, street.walk(1) - 1.0)
    return items
