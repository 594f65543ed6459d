"""Paint what disturbed channels leave: decoders of people, generator -> pictures before and after, of some stimuli."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from necomimi.decoder import Decoder
from necomimi.gallery import Gallery
from necomimi.generators import Generator

from .reconstruction import choose_stage

__all__ = ["BeforeAndAfter"]

N_SHOWN = 10  # stimuli
SEED = 0


class BeforeAndAfter:
    """Pictures of some stimuli, painted from undisturbed and from disturbed epochs with the same seed.

    Parameters
    ----------
    generator : Generator
    decoders : sequence of Decoder
        Everybody's, looked at before the work: each must lead to the generator's space.
    gallery : Gallery
        Of the stimuli; its thumbnails are shown where it has any.

    Attributes
    ----------
    generator_name : str
    rows : dict of str to ndarray of uint8, shape (n, size, size, 3)
        What `necomimi.offline.reconstruct_report.draw_grid` takes: "shown", then everybody's.
    names : tuple of str, length n
        The stimuli, evenly spread over all; empty before the first person.

    Raises
    ------
    ConfigError
        A decoder leads to another space.
    """

    def __init__(self, generator: Generator, decoders: Sequence[Decoder], gallery: Gallery) -> None:
        for decoder in decoders:
            choose_stage(decoder, generator)
        self._generator, self._gallery = generator, gallery
        self.generator_name = generator.name
        self._items: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self.rows: dict[str, NDArray[np.uint8]] = {}
        self.names: tuple[str, ...] = ()

    def add(self, row: str, decoder: Decoder, items: NDArray[np.intp], vectors: NDArray[np.float32]) -> None:
        """Paint a row.

        Parameters
        ----------
        row : str
            Its name.
        decoder : Decoder
        items : ndarray of int, shape (n_queries,)
            The gallery item behind each embedding; of several, the first embedding is taken.
        vectors : ndarray of float32, shape (n_queries, n_dims)
            Of the decoder's space.
        """
        if not self.names:
            every = np.unique(items)
            self._items = every[np.linspace(0, len(every) - 1, min(N_SHOWN, len(every))).round().astype(int)]
            self.names = tuple(self._gallery.labels[item] for item in self._items)
            if self._gallery.thumbnails is not None:
                self.rows["shown"] = self._gallery.thumbnails[self._items]
        found, first = np.unique(items, return_index=True)
        has = np.isin(self._items, found)  # a person may have missed some
        chosen = vectors[first[np.searchsorted(found, self._items[has])]]
        size = self._generator.size
        self.rows[row] = np.zeros((len(self._items), size, size, 3), dtype=np.uint8)
        if has.any():
            stage = choose_stage(decoder, self._generator)
            self.rows[row][has] = self._generator.paint(stage(chosen, SEED), [SEED] * len(chosen))
