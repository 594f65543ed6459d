"""A simulated person: seed -> brain, head and sessions; embeddings of pictures -> what the brain makes of them.

A person who saw one folder of pictures and then another is the same person: the axes along which a brain tells pictures
apart are those of the embedded picture set, fitted once (`necomimi.offline.fit_axes`) and part of the package.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from necomimi.errors import CheckpointError
from necomimi.simulated_cortex import PictureAxes
from necomimi.things_eeg2 import RAW_CH_NAMES

__all__ = ["AXES_PATH", "EEG_NAMES", "load_axes", "person_seeds"]

AXES_PATH = Path(__file__).parent / "assets" / "simulated_person_axes.safetensors"
EEG_NAMES = RAW_CH_NAMES[:-1]


def person_seeds(
    seed: int, number: int = 1, n_sessions: int = 1
) -> tuple[np.random.SeedSequence, np.random.SeedSequence, list[np.random.SeedSequence]]:
    """Return the seeds of a person's brain (`visual_cortex`) and head (`Noise`), and of each session.

    Parameters
    ----------
    seed : int
        Of all that is simulated together.
    number : int
        The person, from 1.
    n_sessions : int
        How many sessions; the first ones are the same however many there are.
    """
    brain, head, *sessions = np.random.SeedSequence(seed, spawn_key=(number,)).spawn(2 + n_sessions)
    return brain, head, sessions


@cache
def load_axes() -> PictureAxes:
    """Return the axes of all simulated people who watch a presenter, in the space of the embedded embedder.

    Raises
    ------
    CheckpointError
        The file that is part of the package cannot be read.
    """
    try:
        return PictureAxes(**load_file(AXES_PATH))
    except (OSError, SafetensorError, TypeError) as error:
        raise CheckpointError(
            f"{AXES_PATH} cannot be read: {error}", "a part of the package", "install necomimi again"
        ) from error
