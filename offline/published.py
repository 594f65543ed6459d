"""Published figures to print beside ours: protocol -> rows, each with how it was chosen."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from necomimi.epochs import Epochs
from necomimi.errors import ConfigError

__all__ = ["N_TEST", "PROTOCOLS", "Protocol", "applies", "rows", "subject_rows"]

Protocol = Literal["within subject", "leave-one-subject-out"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
KEYS = {"within subject": "within", "leave-one-subject-out": "leave_one_out"}
N_TRAIN, N_TEST = 1654, 200  # concepts of THINGS-EEG2


@cache
def _tables() -> dict[str, list[dict[str, Any]]]:
    """Return the content of assets/published.toml."""
    return tomllib.loads(files("necomimi").joinpath("assets", "published.toml").read_text(encoding="utf-8"))


def rows(protocol: Protocol) -> list[dict[str, Any]]:
    """Return published figures on THINGS-EEG2: 200-way, 80 repetitions averaged, means of the ten subjects.

    Parameters
    ----------
    protocol : {"within subject", "leave-one-subject-out"}
        Trained on the subject, or on all others.

    Returns
    -------
    list of dict
        "method", "top1" and "top5" (0 to 1), "chosen_on" (what the authors chose by), "candidates" ("exact picture" or
        "concept centres": different tasks). Methods that have no figure for the protocol are left out.

    Raises
    ------
    ConfigError
        The protocol is unknown.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol {protocol!r}", " or ".join(PROTOCOLS))
    return [
        {"method": row["method"], **_rates(row[KEYS[protocol]]), **_how(row)}
        for row in _tables()["mean"]
        if KEYS[protocol] in row
    ]


def subject_rows(subject: str) -> list[dict[str, Any]]:
    """Return the figures of one subject, trained on itself, from the tables of the NECOMIMI paper.

    Parameters
    ----------
    subject : str
        "sub-01" to "sub-10"; none are known of another.

    Returns
    -------
    list of dict
        As `rows` returns them; all were chosen on the test set.
    """
    numbers = {f"sub-{number:02d}": number for number in range(1, 11)}
    if subject not in numbers:
        return []
    at = numbers[subject] - 1
    how = {"chosen_on": "test", "candidates": "exact picture"}
    return [
        {"method": row["method"], **_rates((row["top1"][at], row["top5"][at])), **how} for row in _tables()["subjects"]
    ]


def applies(epochs: Epochs) -> bool:
    """Return whether these are epochs of THINGS-EEG2 itself: all its concepts; a simulated subject's are others."""
    if epochs.test is None:
        return False
    train, test = set(epochs.train.labels), set(epochs.test.labels)
    return len(test) == N_TEST and len(train) == N_TRAIN and "aircraft_carrier" in test and "aardvark" in train


def _rates(percent: tuple[float, float] | list[float]) -> dict[str, float]:
    """Return top-1 and top-5 in 0 to 1."""
    return {"top1": round(percent[0] / 100, 4), "top5": round(percent[1] / 100, 4)}


def _how(row: dict[str, Any]) -> dict[str, str]:
    """Return how a figure was chosen, and among what the answers are."""
    return {"chosen_on": row["chosen_on"], "candidates": row["candidates"]}
