"""Sides of the street: houses, gardens, walls, fences, hedges, and the view at its end."""

from functools import partial

from bench.datasets.synthetic.minicity.buildings import facade, fence, guard_rail, make_house, row_house, wall
from bench.datasets.synthetic.minicity.camera import Board
from bench.datasets.synthetic.minicity.city import City, Street
from bench.datasets.synthetic.minicity.plants import draw_hedge, draw_tree
from bench.datasets.synthetic.minicity.world import BUILDING, FENCE, GUARD_RAIL, VEGETATION, WALL, Item, World

NEAREST_M, FARTHEST_EDGE_M = 3.0, 60.0


def draw_far_end(world: World, street: Street, city: City, night: bool) -> None:
    """Draw a row of houses and trees behind everything, and a house or trees at the end of the street."""
    dice = world.dice
    for x in range(-72, 72, 12):
        z = street.end + 25 + dice.real(0, 10)
        if dice.chance(0.55):
            house = make_house(dice, city.facades, (2, 4), night)
            facade(world.pen(BUILDING, z), Board(float(x), z), 12.0, house, 14)
        else:
            pen = world.pen(VEGETATION, z)
            pen.blob((x + 5.0, 3.0, z), 8.0, dice.real(4.0, 8.0), (74, 98, 58), 14, 14, world.ragged)
    if dice.chance(0.4):
        house = make_house(dice, city.facades, city.storeys, night)
        facade(world.pen(BUILDING, street.end), Board(street.left - 4.0, street.end), 24.0, house, 15)
    elif dice.chance(0.5):
        for _ in range(6):
            z = street.end + dice.real(0, 8)
            draw_tree(world.pen(VEGETATION, z), dice, dice.real(-14.0, 14.0), z, world.ragged)


def place_side(world: World, street: Street, city: City, side: int, sun: int, night: bool) -> list[Item]:
    """Divide one side into runs of 8 to 15 m: house or garden, and the edge of the sidewalk before it.

    A run is drawn at the depth of its far end, since everything in the street along it is nearer.
    """
    dice, items = world.dice, list[Item]()
    rural = dice.chance(0.12)
    far = street.end
    while far > NEAREST_M:
        near = far - min(dice.real(8.0, 15.0), far - NEAREST_M + 1.0)
        if street.blocked(near, far):
            items.append((far, partial(cross_street_view, world, street, city, side, night)))
        else:
            garden = dice.chance(0.75 if rural else 0.14)
            items.append((far, partial(draw_run, world, street, city, side, sun, night, (near, far), garden)))
        far = near
    return items


def draw_run(world: World, street: Street, city: City, side: int, sun: int, night: bool,
             span: tuple[float, float], garden: bool) -> None:  # fmt: skip
    dice = world.dice
    near, far = span
    back = street.front(side) + side * dice.real(0.0, 0.8)
    if garden:
        draw_garden(world, back, near, far, side)
    else:
        house = make_house(dice, city.facades, city.storeys, night)
        row_house(world.pen(BUILDING, (near + far) / 2), back, near, far, side, house, sun)
    if far < FARTHEST_EDGE_M:
        edge = Board(street.walk(side) + side * 0.15, max(near, NEAREST_M), 0.0, 1.0)
        draw_edge(world, edge, far - edge.z, dice.real(0.0, 1.0), city.green)


def cross_street_view(world: World, street: Street, city: City, side: int, night: bool) -> None:
    assert street.junction is not None
    z = street.junction[1] + 3.0
    house = make_house(world.dice, city.facades, city.storeys, night)
    x = street.front(side) + side * 0.5
    facade(world.pen(BUILDING, z), Board(x, z, float(side), 0.0), 30.0, house, 15)


def draw_garden(world: World, x: float, near: float, far: float, side: int) -> None:
    dice = world.dice
    for step in range(3):
        z = far - (far - near) * (step + 0.5) / 3
        draw_tree(world.pen(VEGETATION, z), dice, x + side * dice.real(1.0, 6.0), z, world.ragged)
    draw_hedge(
        world.pen(VEGETATION, (near + far) / 2),
        Board(x + side * 6.0, near, 0.0, 1.0),
        far - near,
        dice.real(2.0, 4.0),
        dice,
    )


def draw_edge(world: World, board: Board, length: float, lot: float, green: float) -> None:
    """Draw a wall (lot < 0.16), fence (< 0.32), guard rail (< 0.34), hedge, or nothing."""
    dice, middle = world.dice, board.z + length / 2
    if lot < 0.16:
        wall(world.pen(WALL, middle), board, length, dice.real(1.3, 2.6), dice)
    elif lot < 0.32:
        fence(world.pen(FENCE, middle), board, length, dice.real(1.1, 2.0), dice)
    elif lot < 0.34:
        guard_rail(world.pen(GUARD_RAIL, middle), board, length)
    elif lot < 0.34 + 0.12 * green:
        draw_hedge(world.pen(VEGETATION, middle), board, length, dice.real(0.9, 1.8), dice)
