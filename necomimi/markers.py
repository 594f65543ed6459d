"""Say what a marker means: value from a marker stream -> its label, and whether it is a stimulus.

Programs send words, numbers of any type, and the zeros by which a trigger line goes back. The player and the presenter
announce in their marker streams what is no stimulus: a recording that begins again, a break, a key. Such markers begin
with a prefix of their own; live and in recordings they never become epochs.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "MAX_LABEL_CHARS",
    "OUR_SOURCE_IDS",
    "PRESENTER_NAME",
    "PRESENTER_PREFIX",
    "REPLAY_PREFIX",
    "is_control",
    "label_of",
]

REPLAY_PREFIX = "replay/"
PRESENTER_PREFIX = "present/"
PRESENTER_NAME = "necomimi-present"  # of the presenter's marker stream
OUR_SOURCE_IDS = ("necomimi-decisions", "necomimi-similarities")  # what a decoder said is no stimulus
MAX_LABEL_CHARS = 1024  # a longer marker is cut: nothing from the network, or from a file, is unbounded


def label_of(value: Any) -> str:
    """Return the label of a marker, the same live and from a recording.

    =========================  =====================
    value                      label
    =========================  =====================
    text, str or bytes         itself, without blanks around it
    5, 5.0 of any type         "5"
    5.5                        "5.5"
    0                          "", no stimulus
    =========================  =====================
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.strip()[:MAX_LABEL_CHARS]
    number = float(value)
    if number == 0:
        return ""
    return str(int(number)) if number.is_integer() else str(value)


def is_control(label: str) -> bool:
    """Return whether a marker is no stimulus: about the run of a program, or the empty one of a line that goes back."""
    return not label or label.startswith((REPLAY_PREFIX, PRESENTER_PREFIX))
