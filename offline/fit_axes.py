"""Fit the axes along which simulated people tell pictures apart, once: embedded picture set -> necomimi/assets/*.

``python -m necomimi.offline.fit_axes`` made the file that is part of the package. With another file, every seed of
`necomimi replay subject:PICTURES` is another person.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from necomimi.console import console, progress
from necomimi.embedders import build_embedder, in_threads
from necomimi.pictures import Concept, concepts, draw_picture
from necomimi.simulated_cortex import PictureAxes
from necomimi.simulated_person import AXES_PATH

__all__ = ["fit_axes"]

SEED = 3000  # a simulated person sees other exemplars of the same concepts


def fit_axes(things: Sequence[Concept], n_exemplars: int) -> PictureAxes:
    """Return the axes that pictures of some concepts define, in the space of the embedded embedder.

    Parameters
    ----------
    things : sequence of Concept
    n_exemplars : int
        Pictures of each.
    """
    embedder = build_embedder("embedded")

    def work(concept: Concept) -> NDArray[np.float32]:
        return embedder.embed([draw_picture(concept, i, SEED) for i in range(n_exemplars)])

    with progress() as bar:
        embeddings = list(bar.track(in_threads(work, things), total=len(things), description="concepts"))
    return PictureAxes.fit(np.concatenate(embeddings), np.repeat(np.arange(len(things)), n_exemplars))


def _main() -> None:
    """Write the axes of this version of the picture set."""
    axes = fit_axes(concepts(), n_exemplars=3)
    save_file({name: value.astype(np.float32) for name, value in vars(axes).items()}, AXES_PATH)
    AXES_PATH.chmod(0o644)
    console.print(f"{AXES_PATH}: {AXES_PATH.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    _main()
