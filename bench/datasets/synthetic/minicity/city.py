"""Parameters of a scene: appearance of the cities, and the plan of a street."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.datasets.synthetic.minicity.canvas import Color
from bench.datasets.synthetic.minicity.dice import Dice


@dataclass(frozen=True)
class City:
    """Appearance of a fictional city. Every class occurs in every city; only looks and frequencies differ."""

    facades: tuple[Color, ...]
    tram: Color
    storeys: tuple[int, int]
    bus: Color
    green: float  # chance of a strip of grass, of hedges, of trees


SAND, CREAM, BRICK, ROSE = (196, 176, 140), (214, 204, 178), (150, 84, 66), (188, 146, 132)
STONE, SLATE, OCHRE, MINT = (158, 154, 148), (112, 112, 118), (190, 152, 92), (158, 172, 156)
WHITE, UMBER = (206, 206, 204), (122, 98, 80)

CITIES: Mapping[str, City] = {
    "arlenbruck": City((SAND, CREAM, BRICK, STONE), (226, 190, 30), (2, 4), (168, 32, 40), 0.6),
    "belvenau": City((CREAM, ROSE, OCHRE, WHITE), (206, 44, 40), (3, 5), (228, 224, 214), 0.5),
    "corvessa": City((STONE, SLATE, WHITE, UMBER), (40, 130, 84), (4, 7), (214, 120, 24), 0.35),
    "dornhavn": City((BRICK, UMBER, SAND, MINT), (36, 104, 176), (2, 4), (226, 178, 32), 0.7),
    "elmstadt": City((WHITE, MINT, STONE, ROSE), (228, 226, 220), (2, 5), (52, 118, 84), 0.7),
    "falkenwerth": City((BRICK, SAND, STONE, WHITE), (206, 60, 40), (2, 5), (196, 42, 44), 0.55),
    "grenmora": City((CREAM, OCHRE, SLATE, MINT), (226, 186, 40), (3, 6), (216, 140, 40), 0.5),
    "hollenbek": City((BRICK, CREAM, ROSE, STONE), (44, 120, 160), (2, 5), (222, 184, 44), 0.6),
    "isenvar": City((STONE, WHITE, OCHRE, UMBER), (214, 180, 50), (3, 6), (176, 40, 44), 0.5),
}
CITIES_OF: Mapping[str, tuple[str, ...]] = {
    "train": ("arlenbruck", "belvenau", "corvessa", "dornhavn", "elmstadt"),
    "val": ("falkenwerth", "grenmora"),
    "demo": ("hollenbek", "isenvar"),
}
WEATHERS = ("day", "day", "day", "day", "overcast", "overcast", "overcast", "dusk", "night", "fog", "rain")


@dataclass(frozen=True)
class Street:
    """Plan of the street; x in metres, 0 at the camera's lane; z ahead."""

    left: float  # kerbs
    right: float
    walk_left: float  # outer edges of the sidewalks
    walk_right: float
    front_left: float  # building lines
    front_right: float
    grass_left: bool  # what lies between sidewalk and building line
    grass_right: bool
    strip: int  # side (-1, 1) of a grass strip between kerb and sidewalk; 0: none
    parking: int  # side of a parking bay (void label); 0: none
    junction: tuple[float, float] | None  # z range of a street that crosses
    crossing: float | None  # z of a zebra crossing
    rails: float | None  # x of the middle of a tram track
    end: float  # z where the street ends
    wet: bool

    def kerb(self, side: int) -> float:
        return self.right if side > 0 else self.left

    def walk(self, side: int) -> float:
        return self.walk_right if side > 0 else self.walk_left

    def front(self, side: int) -> float:
        return self.front_right if side > 0 else self.front_left

    def blocked(self, z0: float, z1: float) -> bool:
        """Return whether the crossing street overlaps this range of z."""
        return self.junction is not None and z0 < self.junction[1] and z1 > self.junction[0]


def plan_street(dice: Dice, city: City, weather: str) -> Street:
    rails = dice.chance(0.42)
    left = -dice.real(9.5, 11.5) if rails else -dice.real(5.0, 9.0)
    right = dice.real(2.4, 4.8)
    strip = dice.side() if dice.chance(0.4) else 0
    walks = [dice.real(2.2, 4.2) + (1.8 if strip == side else 0.0) for side in (-1, 1)]
    grass = [dice.chance(city.green * 0.75) for _ in range(2)]
    gaps = [dice.real(2.0, 5.0) if g else dice.real(0.3, 1.5) for g in grass]
    start = dice.real(16.0, 42.0)
    return Street(
        left, right, left - walks[0], right + walks[1], left - walks[0] - gaps[0], right + walks[1] + gaps[1],
        grass[0], grass[1], strip, dice.side() if dice.chance(0.15) else 0,
        (start, start + dice.real(6.0, 9.0)) if dice.chance(0.35) else None,
        dice.real(9.0, 22.0) if dice.chance(0.35) else None,
        left + 2.4 if rails else None, dice.real(70.0, 130.0), weather in ("rain", "night") and dice.chance(0.6),
    )  # fmt: skip
