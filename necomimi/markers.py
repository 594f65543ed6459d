"""Tell stimuli from what programs say of themselves: label of a marker -> whether it is a stimulus.

The player and the presenter announce in their marker streams what is no stimulus: a recording that begins again, a
break, a key. Such markers begin with a prefix of their own; live and in recordings they never become epochs.
"""

from __future__ import annotations

__all__ = ["MAX_LABEL_CHARS", "OUR_SOURCE_IDS", "PRESENTER_NAME", "PRESENTER_PREFIX", "REPLAY_PREFIX", "is_control"]

REPLAY_PREFIX = "replay/"
PRESENTER_PREFIX = "present/"
PRESENTER_NAME = "necomimi-present"  # of the presenter's marker stream
OUR_SOURCE_IDS = ("necomimi-decisions", "necomimi-similarities")  # what a decoder said is no stimulus
MAX_LABEL_CHARS = 1024  # a longer marker is cut: nothing from the network, or in a file, is unbounded


def is_control(label: str) -> bool:
    """Return whether a marker is about the run of a program, and no stimulus."""
    return label.startswith((REPLAY_PREFIX, PRESENTER_PREFIX))
