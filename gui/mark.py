"""Follow one event: provisional answers, then a final one or a refusal -> verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from necomimi.records import Event, GeneratedImage, Refusal, Retrieval

__all__ = ["Mark", "Verdict"]

Verdict = Literal["pending", "hit", "five", "miss", "unscored", "refused"]


@dataclass(slots=True, eq=False)
class Mark:
    """One event and what became of it.

    Parameters
    ----------
    event : Event
    verdict : str
        "pending", though there may be a provisional answer; "hit" (best answer), "five" (among the five best), "miss",
        "unscored" (its label is no class of the decoder, or it has none); or "refused".
    answer : Retrieval, Refusal or None
        The newest that the decoder said of it.
    answered_at : float
        When that arrived, seconds on the LSL clock.
    pictures : mapping of str to GeneratedImage
        What was painted of it, by stage: the finest there is. Another mapping takes its place when that changes.
    painted_at : float
        When the newest of them arrived, seconds on the LSL clock.
    place : int or None
        Where it stands in the `History`, once it is decided.
    """

    event: Event
    verdict: Verdict = "pending"
    answer: Retrieval | Refusal | None = None
    answered_at: float = 0.0
    pictures: Mapping[str, GeneratedImage] = field(default_factory=dict)
    painted_at: float = 0.0
    place: int | None = None

    def yields_to(self, retrieval: Retrieval) -> bool:
        """Return whether an answer knows more of this event than the one that is here, or is the final one."""
        if retrieval.until is None:
            return True
        known = self.answer.until if isinstance(self.answer, Retrieval) else None
        return self.verdict == "pending" and (known is None or retrieval.until > known)

    def take_picture(self, image: GeneratedImage, arrived: float) -> None:
        """Enter a picture that arrived at `arrived` (s, LSL clock), unless a finer one of its stage is here."""
        known = self.pictures.get(image.stage)
        if known is None or known.preview or not image.preview:
            self.pictures = {**self.pictures, image.stage: image}
            self.painted_at = arrived
