"""Canvas: one plane of material numbers, from which colour, label and depth of every pixel follow."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bench.datasets.synthetic.minicity import raster

HEIGHT, WIDTH = 256, 512  # px, of minicity; other worlds choose their own
Color = tuple[int, int, int]
Mask = tuple[raster.Bools, int, int]  # mask of a box, and where the box starts (y0, x0)


@dataclass(frozen=True)
class Material:
    """Colour, instance id, texture and depth of a pixel."""

    color: Color
    ident: int  # Cityscapes instanceIds coding, numbered anew when the scene is finished
    depth_m: float  # negative: lies on the ground, depth follows from the row
    rough: int = 4  # amplitude of the fine texture
    patchy: int = 0  # amplitude of the coarse texture
    glow: int = 0  # 0..255: gives light of its own at night


@dataclass
class Canvas:
    """Material numbers (H, W), painted from far to near, with shadows and instance counts."""

    size: tuple[int, int] = (HEIGHT, WIDTH)
    plane: npt.NDArray[np.uint16] = field(init=False)
    shadow: npt.NDArray[np.uint8] = field(init=False)
    materials: list[Material] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)  # instances made so far, by label

    def __post_init__(self) -> None:
        self.plane = np.zeros(self.size, np.uint16)
        self.shadow = np.zeros(self.size, np.uint8)

    def add(self, material: Material) -> int:
        """Add a material and return its number for `paint`."""
        self.materials.append(material)
        return len(self.materials) - 1

    def instance(self, label: int) -> int:
        self.counts[label] = self.counts.get(label, -1) + 1
        return label * 1000 + self.counts[label]

    def paint(self, mask: Mask | None, material: int | npt.NDArray[np.int64]) -> None:
        """Fill a mask with one material, or with an array of materials of the size of its box."""
        if mask is None:
            return
        inside, y0, x0 = mask
        view = self.plane[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]]
        np.copyto(view, np.asarray(material, dtype=np.uint16), where=inside)

    def veil(self, mask: Mask | None, material: Material, opacity: int) -> None:
        """Fill a mask with a translucent material (`opacity` of 256), for spokes and mesh."""
        if mask is None:
            return
        inside, y0, x0 = mask
        view = self.plane[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]]
        # Sorted, since material numbers are given in this order, and a set has none.
        for below in sorted(set(view[inside].tolist())):
            seen = self.materials[below].color
            color = blend(seen, material.color, opacity)
            mixed = Material(color, material.ident, material.depth_m, material.rough, material.patchy)
            np.copyto(view, np.uint16(self.add(mixed)), where=inside & (view == below))

    def shade(self, points: raster.Points, strength: int) -> None:
        """Cast a shadow on the ground; objects on it stay unshaded."""
        mask = raster.polygon(points, *self.size)
        if mask is not None:
            inside, y0, x0 = mask
            view = self.shadow[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]]
            # Overlapping shadows are as dark as the darkest, not darker.
            np.maximum(view, np.uint8(strength), out=view, where=inside)


def blend(below: Color, above: Color, opacity: int) -> Color:
    """Blend `above` over `below`; `opacity` of 256."""
    a, b, c = ((u * (256 - opacity) + o * opacity) >> 8 for u, o in zip(below, above, strict=True))
    return a, b, c


def lit(color: Color, sixteenths: int) -> Color:
    """Make a colour darker (below 16) or lighter (above 16)."""
    a, b, c = (min(255, channel * sixteenths >> 4) for channel in color)
    return a, b, c


def table(materials: Sequence[Material], name: str) -> npt.NDArray[np.int64]:
    return np.array([getattr(m, name) for m in materials], dtype=np.int64)
