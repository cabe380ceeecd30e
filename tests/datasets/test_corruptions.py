"""Corruptions of pictures: pixels by hash, effect by strength, identity of a run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from bench.datasets.corruptions import KINDS, STRENGTHS, Corruption, jpeg_library, parse_corruption
from bench.errors import UsageError
from bench.types import Image

# sha256 of the pixels at strengths 1 to 5, the first 12 hex digits. They are the same with each version of Python,
# numpy and Pillow; those of jpeg with each libjpeg-turbo 3.
PIXELS = {
    "brightness": "9a0d03155eaf 9a2e67e1616f 40e8b142e96f ceb6dfec4a86 ff0c8b16dc34",
    "saturation": "5f06de464ab4 1ef608826ede c4622ce74874 2242e1b28e8e 6940a8e419aa",
    "contrast": "221d75ea8b4c 53108c6de77d 4dec1e029b28 09efaf63cb60 80990e6e7b91",
    "jpeg": "af308ee2d226 3909c9cf3994 84d5edb614ed a0e044e8e50a 4c608c15220a",
    "noise": "2a0f0cc7b515 8080b19bea1d 96be663404ad 2e6606ec2d77 de1830e19af6",
    "blur": "e3c2aa18743e b15a7d11b63e 330890d4bbd9 0acc7182fdcf 0b91717ef6a9",
    "fog": "9448ad8e855b 53deb0cdd128 1861e1533c68 3753946702cb 782741b4b3b1",
    "rain": "42c9ff00141b 75634aec08e3 d3532e49cd80 211a9e0f66ff a4723d07f8d6",
    "darkness": "af2517c32c7d d159eba15120 ffa9eb1917f1 59e51d945553 3b484146d134",
    "occlusion": "311cf9ae0300 7aa65976cf28 6bcc2060bf9d 55d091d0fccd 12a444289d3d",
}


def picture(height: int = 96, width: int = 150) -> Image:
    """Return a picture with edges, ramps and both ends of the range, made of integers alone."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x // 16 + y // 12) % 2 * 160 + x * y % 64], -1)
    return Image("hollenbek_000000_000019", rgb.astype(np.uint8))


def pixels(name: str, strength: int, image: Image) -> np.ndarray:
    return Corruption(name, strength).apply(image).rgb


@pytest.mark.parametrize("name", KINDS)
def test_pixels_are_the_recorded_ones(name: str) -> None:
    if name == "jpeg" and not jpeg_library().startswith("libjpeg-turbo 3"):
        pytest.skip(f"Pillow has {jpeg_library()} here")
    found = [hashlib.sha256(pixels(name, s, picture()).tobytes()).hexdigest()[:12] for s in STRENGTHS]
    assert found == PIXELS[name].split()


@pytest.mark.parametrize("name", KINDS)
def test_a_higher_strength_changes_more(name: str) -> None:
    image = picture()
    moved = [np.abs(pixels(name, s, image).astype(int) - image.rgb).mean() for s in STRENGTHS]
    assert moved[0] > 0 and moved == sorted(set(moved))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (17, 31)])
def test_any_size_is_taken(name: str, size: tuple[int, int]) -> None:
    for strength in STRENGTHS:
        found = pixels(name, strength, picture(*size) if min(size) > 1 else Image("a", np.zeros((1, 1, 3), np.uint8)))
        assert found.shape == (*size, 3) and found.dtype == np.uint8


@pytest.mark.parametrize("name", ["noise", "fog", "rain", "darkness", "occlusion"])
def test_random_parts_depend_on_the_image_id_alone(name: str) -> None:
    image = picture()
    other = Image("another", image.rgb)
    assert np.array_equal(pixels(name, 3, image), pixels(name, 3, picture()))
    assert not np.array_equal(pixels(name, 3, image), pixels(name, 3, other))


def test_units_are_those_of_the_table() -> None:
    grey = Image("grey", np.full((256, 256, 3), 128, np.uint8))
    noise = pixels("noise", 2, grey).astype(float) - 128
    assert abs(noise.std() - 16) < 0.2 and abs(noise.mean()) < 0.2
    assert (pixels("brightness", 3, grey) == 128 + 77).all()
    assert (pixels("blur", 5, grey) == 128).all()
    squares = (pixels("occlusion", 4, grey) != 128).any(axis=2)[::16, ::16]
    assert squares.sum() == 256 * 30 // 100
    fog = (pixels("fog", 3, Image("grey", np.zeros((256, 512, 3), np.uint8))) / 204).mean()
    assert abs(fog - 0.55) < 0.05
    colour = Image("red", np.full((8, 8, 3), (200, 10, 10), np.uint8))
    assert (np.ptp(pixels("saturation", 5, colour), axis=2) == 0).all()


def test_the_documentation_has_the_values_in_use() -> None:
    page = (Path(__file__).parents[2] / "docs" / "robustness.md").read_text("utf-8")
    for name, kind in KINDS.items():
        values = (" and ".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in kind.values)
        assert f"| `{name}` | {' | '.join(values)} | {kind.unit} |" in page


@pytest.mark.parametrize(
    ("text", "message"),
    [("fog", "write NAME:STRENGTH"), ("fog:x", "write NAME"), ("fog:9", "1 to 5, not 9"), ("fgo:1", "mean 'fog'")],
)
def test_a_wrong_name_or_strength_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_corruption(text)
