"""Read a choice of subjects: "1-3,5" -> numbers."""

from __future__ import annotations

import re

__all__ = ["numbers_in"]


def numbers_in(text: str) -> tuple[int, ...] | None:
    """Return the numbers that a text such as "1-3,5" means, ascending; None if it means none.

    Parameters
    ----------
    text : str
        Numbers from 1 to 9999 and ranges of them, parted by commas.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,4})\s*(?:-\s*(\d{1,4})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last:
            return None
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))
