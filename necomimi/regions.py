"""Where channels lie: channel names of the 10-20 system and its refinements -> regions, places on a flat head.

The letters of a name say the row of electrodes that it stands in, and the row decides the region:

=========  =======================================
region     rows
=========  =======================================
frontal    N, Fp, AF, F
central    FC, C, CP
temporal   FT, T, TP
parietal   P
occipital  PO, O, I
=========  =======================================

A row of the 10-5 system, whose name is made of two (FFC, CPP, PPO), belongs to the region of the front one. Temporal
is the side of the head from FT7 and FT8 outwards, whatever cortex is below; PO counts as occipital, since these sites
lie over visual cortex. Ears, mastoids and anything that is not such a name belong to no region.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from necomimi.montage import canonical_name, standard_montage

__all__ = ["REGIONS", "channels_by_region", "flat_positions", "region_of"]

ROWS = {
    "frontal": ("n", "nfp", "fp", "afp", "af", "aff", "f", "ffc", "fft"),
    "central": ("fc", "fcc", "c", "ccp", "cp", "cpp"),
    "temporal": ("ft", "ftt", "t", "ttp", "tp", "tpp"),
    "parietal": ("p", "ppo"),
    "occipital": ("po", "poo", "o", "oi", "i"),
}
REGIONS = tuple(ROWS)
REGION_OF_ROW = {row: region for region, rows in ROWS.items() for row in rows}
SITE = re.compile(r"([a-z]+?)(z|\d{1,2}h?)")
RIM = ("Fpz", "T7", "T8", "Oz")  # the widest circle of the 10-20 system: the outline of the head


def region_of(name: str) -> str | None:
    """Return the region of a channel, None where its name says none.

    Parameters
    ----------
    name : str
        Such as "POz", "EEG Fp1-REF" or "T3".

    References
    ----------
    Oostenveld & Praamstra (2001), The five percent electrode system for high-resolution EEG and ERP measurements.
    """
    site = SITE.fullmatch(canonical_name(name))
    return REGION_OF_ROW.get(site[1]) if site else None


def channels_by_region(ch_names: Sequence[str]) -> dict[str, list[int]]:
    """Return the indices of the channels of each region that has some, regions from front to back."""
    regions = [region_of(name) for name in ch_names]
    found = {wanted: [i for i, region in enumerate(regions) if region == wanted] for wanted in REGIONS}
    return {region: indices for region, indices in found.items() if indices}


def flat_positions(ch_names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return where channels lie on a head seen from above; those whose position is unknown are left out.

    The projection keeps the angle from the vertex (azimuthal equidistant), as topographies are usually drawn.

    Parameters
    ----------
    ch_names : sequence of str

    Returns
    -------
    dict of str to ndarray, shape (2,)
        Right and front, in radii of the circle through Fpz, T7, Oz and T8: sites below it lie outside 1.
    """
    sites = _sites()
    places = {name: sites.get(canonical_name(name)) for name in ch_names}
    return {name: place for name, place in places.items() if place is not None}


@cache
def _sites() -> dict[str, NDArray[np.float64]]:
    """Return the place on the flat head of every site of the 10-5 system."""
    positions = standard_montage().get_positions()["ch_pos"]
    points = np.array(list(positions.values()))
    # The sphere through them: |p|^2 = 2 p.c + (r^2 - |c|^2), linear in c and the constant.
    design = np.column_stack([2 * points, np.ones(len(points))])
    centre = np.linalg.lstsq(design, (points**2).sum(axis=1), rcond=None)[0][:3]
    right, front, up = (points - centre).T
    flat = np.column_stack([right, front]) / np.hypot(right, front)[:, None].clip(1e-9)
    flat *= np.arctan2(np.hypot(right, front), up)[:, None]
    places = dict(zip(positions, flat, strict=True))
    rim = np.array([places[name] for name in RIM])
    middle = np.array([(rim[1, 0] + rim[2, 0]) / 2, (rim[0, 1] + rim[3, 1]) / 2])
    radius = np.hypot(*(rim - middle).T).mean()
    return {canonical_name(name): (place - middle) / radius for name, place in places.items()}
