"""Say why an event was not decoded: reason of a refusal -> words."""

from __future__ import annotations

from necomimi.records import Reason

from .language import tr

__all__ = ["reason_words"]


def reason_words(reason: Reason) -> str:
    """Return a refusal's reason in the language that is spoken."""
    words: dict[Reason, str] = {
        "gap": tr("gap"),
        "reconnect": tr("reconnect"),
        "seam": tr("seam"),
        "overrun": tr("overrun"),
        "late": tr("late"),
        "incomplete": tr("incomplete"),
        "flat": tr("flat"),
        "non-finite": tr("non-finite"),
        "amplitude": tr("amplitude"),
        "reference lost": tr("reference lost"),
    }
    return words[reason]
