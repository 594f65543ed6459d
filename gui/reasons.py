"""Say why an event was not decoded: reason of a refusal -> words."""

from __future__ import annotations

from .language import tr

__all__ = ["reason_words"]


def reason_words(reason: str) -> str:
    """Return a refusal's reason in the language that is spoken; one that is not known stays as it is."""
    words: dict[str, str] = {
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
    return words.get(reason, reason)
