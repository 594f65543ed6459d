"""Numbers and ranges of numbers are read; anything else is refused."""

from __future__ import annotations

import pytest

from necomimi.offline.subject_numbers import numbers_in


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("1", (1,)), ("1-3,5", (1, 2, 3, 5)), (" 2 , 2-2", (2,)), ("5,1", (1, 5)), ("3-1", None), ("0", None),
     ("", None), ("a", None), ("1;2", None), ("1-", None), ("12345", None)],
)  # fmt: skip
def test_numbers_in(text: str, numbers: tuple[int, ...] | None) -> None:
    assert numbers_in(text) == numbers
