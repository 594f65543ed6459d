"""Find what each epoch is an answer to: pictures and labels of epochs, gallery -> gallery items."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from necomimi.epochs import EpochSet
from necomimi.errors import DatasetError
from necomimi.gallery import Gallery

__all__ = ["find_targets"]


def find_targets(part: EpochSet, gallery: Gallery) -> NDArray[np.intp]:
    """Return the gallery item of each epoch: its picture, or else its label; shape (n_epochs,).

    Raises
    ------
    DatasetError
        Some are not in the gallery.
    """
    pairs = sorted(set(zip(part.pictures, part.labels, strict=True)))
    found = {pair: gallery.index_of(pair[0]) if pair[0] else None for pair in pairs}
    found = {pair: gallery.index_of(pair[1]) if item is None else item for pair, item in found.items()}
    missing = [picture or label for (picture, label), item in found.items() if item is None]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(pairs)} pictures or labels are not in the gallery, such as {missing[0]!r}",
            f"names of the gallery, such as {gallery.files[0] or gallery.labels[0]!r}",
            "give the gallery of the pictures that were shown: necomimi embed PICTURES OUT",
        )
    return np.array([found[pair] for pair in zip(part.pictures, part.labels, strict=True)], dtype=np.intp)
