"""Follow one event: provisional answers, then a final one or a refusal -> verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from necomimi.records import Event, Refusal, Retrieval

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
    """

    event: Event
    verdict: Verdict = "pending"
    answer: Retrieval | Refusal | None = None
    answered_at: float = 0.0

    def yields_to(self, retrieval: Retrieval) -> bool:
        """Return whether an answer knows more of this event than the one that is here, or is the final one."""
        if retrieval.until is None:
            return True
        known = self.answer.until if isinstance(self.answer, Retrieval) else None
        return self.verdict == "pending" and (known is None or retrieval.until > known)
