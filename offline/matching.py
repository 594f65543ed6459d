"""Fit a decoder to whose epochs these are: decoder, epochs -> the person's layers chosen, or a refusal in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from necomimi.epochs import Epochs, EpochSet
from necomimi.errors import ConfigError

if TYPE_CHECKING:
    from necomimi.decoder import Decoder

__all__ = ["Person", "choose_split", "match_person"]


@dataclass(frozen=True, slots=True)
class Person:
    """Whose epochs a decoder is judged on.

    Parameters
    ----------
    name : str
        As the epochs directory says; "" where it does not.
    known : bool
        Whether the decoder was trained on this person.
    """

    name: str
    known: bool

    @property
    def words(self) -> str:
        """What to say about it: nothing where the decoder knows the person."""
        if self.known:
            return ""
        who = self.name or "whoever this is"
        return f"the decoder has not seen {who}: mean of the subject layers, the person's own whitening"


def match_person(decoder: Decoder, epochs: Epochs) -> Person:
    """Make the decoder decode the epochs' person, after comparing how both were preprocessed.

    A decoder of several people takes the person's own layer, or, for a person it has not seen, the mean of its layers:
    then the epochs may be whitened with the person's own covariance, which no training data of the decoder holds.

    Parameters
    ----------
    decoder : Decoder
        Its `use_subject` is called.
    epochs : Epochs

    Raises
    ------
    ConfigError
        The epochs were made with other preprocessing than the decoder's.
    """
    known = not decoder.subjects or epochs.subject in decoder.subjects
    if decoder.subjects:
        decoder.use_subject(epochs.subject if known else None)
    ours, theirs = decoder.preprocessor, epochs.preprocessor
    if ours.to_config() != theirs.to_config() or (known and not np.array_equal(ours.spatial, theirs.spatial)):
        raise ConfigError(
            f"the epochs in {epochs.path} were preprocessed in another way than those the decoder was trained on",
            "the same channels, window, rate and whitening",
            f"judge it on the epochs it was trained from, or train again on {epochs.path}",
        )
    return Person(epochs.subject, known)


def choose_split(epochs: Epochs, split: str) -> EpochSet:
    """Return the training or the test epochs.

    Parameters
    ----------
    epochs : Epochs
    split : {"test", "train"}

    Raises
    ------
    ConfigError
        The split is unknown or absent.
    """
    if split not in ("test", "train"):
        raise ConfigError(f"--split {split!r}", "test or train")
    part = epochs.test if split == "test" else epochs.train
    if part is None or not len(part):
        remedy = "necomimi preprocess, for a recording with --test-from" if split == "test" else ""
        raise ConfigError(f"{epochs.path} has no {split} epochs", f"a {split} set", remedy)
    return part
