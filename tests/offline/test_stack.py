"""Epochs of several people are one numbered set, wherever they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from necomimi.offline import stack
from necomimi.offline.stack import Stack

PARTS = [np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3) + 100 * i for i, n in enumerate((4, 1, 3))]
CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16])
def test_rows_are_numbered_from_person_to_person(dtype: torch.dtype | None) -> None:
    epochs = Stack(PARTS, CPU, dtype)
    assert (len(epochs), epochs.shape) == (8, (2, 3))
    rows = torch.tensor([7, 0, 4, 3, 0])
    taken = epochs.take(rows)
    assert taken.dtype == (dtype or torch.float32)
    torch.testing.assert_close(taken.float(), torch.tensor(np.concatenate(PARTS)[rows]), rtol=2**-8, atol=0)
    people = epochs.people(rows)
    assert people is not None
    assert people.tolist() == [2, 0, 1, 0, 0]


def test_of_one_person_nobody_asks() -> None:
    epochs = Stack(PARTS[:1], CPU)
    assert epochs.people(torch.tensor([0, 3])) is None
    assert torch.equal(epochs.take(torch.tensor([3])), torch.tensor(PARTS[0][3:]))


@pytest.mark.parametrize("parts", [PARTS, PARTS[:1]])
def test_what_is_taken_may_be_changed(parts: list[np.ndarray]) -> None:
    before = [part.copy() for part in parts]
    for dtype in (None, torch.float32):
        epochs = Stack(parts, CPU, dtype)
        epochs.take(torch.arange(4)).zero_()
        assert torch.equal(epochs.take(torch.arange(4)), torch.tensor(parts[0]))
    for part, original in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part, original)


def test_epochs_that_do_not_fit_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "_free_bytes", lambda device: 10)
    epochs = Stack(PARTS, CPU, torch.bfloat16)
    assert {part.dtype for part in epochs.parts} == {torch.float32}
    taken = epochs.take(torch.tensor([5, 1]))
    assert taken.dtype == torch.bfloat16
    assert torch.equal(taken, torch.tensor(np.stack([PARTS[2][0], PARTS[0][1]])).bfloat16())
