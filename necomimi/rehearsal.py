"""Give a rehearsal its pictures: folder, or the embedded set -> those to calibrate with, others to prove it with.

The proof is the loop itself: pictures that had no part in the calibration are presented, the simulated person looks at
them, and `necomimi decode` names them.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from necomimi.checkpoint import whole_directory
from necomimi.console import console
from necomimi.errors import DatasetError

__all__ = ["N_LIVE", "Rehearsal"]

N_LIVE = 20  # concepts kept for the proof: one sequence of the presenter
LEAST = 12  # concepts: 2 for the proof, 10 to calibrate with


@dataclass(frozen=True)
class Rehearsal:
    """The pictures of a rehearsal.

    Parameters
    ----------
    folder : Path
        All that the simulated person knows: ``training`` and ``live``, without a concept in common. ``live`` is flat,
        so that a picture's name is its label, its marker and what is decoded.
    """

    folder: Path

    @property
    def training(self) -> Path:
        """What the decoder is calibrated with."""
        return self.folder / "training"

    @property
    def live(self) -> Path:
        """What proves it."""
        return self.folder / "live"

    def draw(self, pictures: Path | None, limit: int, seed: int) -> None:
        """Make the folder, unless it is there.

        Parameters
        ----------
        pictures : Path or None
            Where they come from; the embedded picture set where absent, one of each concept.
        limit : int
            Training pictures at most, where the embedded set is drawn from.
        seed : int
            Of what is drawn.

        Raises
        ------
        DatasetError
            There are too few concepts.
        """
        if self.folder.is_dir():
            return
        with whole_directory(self.folder) as partial:
            if pictures is None:
                _draw(partial, limit, seed)
            else:
                _copy(pictures, partial, seed)


def _copy(pictures: Path, partial: Path, seed: int) -> None:
    """Copy pictures under names that all differ."""
    from necomimi.picture_folder import picture_files, picture_label

    concepts: dict[str, list[Path]] = {}
    for path in picture_files(pictures):
        concepts.setdefault(picture_label(path, pictures), []).append(path)
    if len(concepts) < LEAST:
        raise DatasetError(
            f"{pictures} holds pictures of {len(concepts)} concepts",
            f"at least {LEAST}",
            "leave PICTURES out: a rehearsal draws its own",
        )
    n_live = min(N_LIVE, len(concepts) // 5)
    names = sorted(concepts)
    kept = set(np.random.default_rng(seed).permutation(names)[:n_live].tolist())
    for number, name in enumerate(names, 1):
        for i, source in enumerate(concepts[name][: 1 if name in kept else None]):
            file = f"{name}_{number:05d}_{i:02d}{source.suffix}"
            to = partial / "live" / file if name in kept else partial / "training" / f"{number:05d}_{name}" / file
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, to)


def _draw(partial: Path, limit: int, seed: int) -> None:
    """Draw pictures of the embedded set."""
    from necomimi.pictures import concepts, draw_picture, picture_file

    known = concepts()
    order = np.random.default_rng(seed).permutation(len(known))[: limit + N_LIVE]
    with console.status(f"drawing {len(order)} pictures"):
        for number, i in enumerate(order.tolist()):
            name = known[i].name
            folder = partial / "live" if number < N_LIVE else partial / "training" / f"{number:05d}_{name}"
            folder.mkdir(parents=True, exist_ok=True)
            draw_picture(known[i], 0, seed).save(folder / picture_file(name, 0), quality=90)
