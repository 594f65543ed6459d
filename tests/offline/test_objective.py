"""The loss is InfoNCE over distinct candidates, validation is exact, and the temperature is the likeliest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from necomimi.offline.objective import Judge, fit_temperature, info_nce

SCALE = torch.tensor(5.0, dtype=torch.float64)


def unit(*shape: int, seed: int = 0) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(values, dim=-1)


def reference(estimates: Tensor, candidates: Tensor, targets: Tensor, both: bool, smoothing: float = 0.0) -> float:
    """Return InfoNCE by its definition, one probability at a time."""
    logits = (float(SCALE) * estimates @ candidates.T).numpy()
    n, m = logits.shape
    weights = np.exp(logits)
    forward = 0.0
    for i, j in enumerate(targets.tolist()):
        logs = np.log(weights[i] / weights[i].sum())
        forward -= ((1 - smoothing) * logs[j] + smoothing * logs.mean()) / n
    if not both:
        return forward
    per_candidate = []
    for j in range(m):
        positives = [i for i in range(n) if targets[i] == j]
        if positives:
            per_candidate.append(-np.mean([np.log(weights[i, j] / weights[:, j].sum()) for i in positives]))
    return (forward + float(np.mean(per_candidate))) / 2


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("targets", [[0, 1, 2, 3], [2, 2, 0, 3], [1, 1, 1, 1]])
def test_loss_equals_its_definition(targets: list[int], smoothing: float, both: bool) -> None:
    estimates, candidates, chosen = unit(4, 6), unit(4, 6, seed=1), torch.tensor(targets)
    found = info_nce(estimates, candidates, chosen, SCALE, both=both, smoothing=smoothing)
    assert float(found) == pytest.approx(reference(estimates, candidates, chosen, both, smoothing), rel=1e-9)


def test_without_duplicates_it_is_the_symmetric_cross_entropy() -> None:
    estimates, candidates = unit(7, 5), unit(7, 5, seed=1)
    logits, diagonal = SCALE * estimates @ candidates.T, torch.arange(7)
    cross_entropy = torch.nn.functional.cross_entropy
    expected = (cross_entropy(logits, diagonal) + cross_entropy(logits.T, diagonal)) / 2
    torch.testing.assert_close(info_nce(estimates, candidates, diagonal, SCALE), expected)


def test_order_of_the_batch_and_of_the_candidates_does_not_matter() -> None:
    estimates, candidates, targets = unit(6, 5), unit(4, 5, seed=1), torch.tensor([0, 3, 3, 1, 0, 2])
    expected = info_nce(estimates, candidates, targets, SCALE)
    rows, columns = torch.tensor([4, 2, 0, 5, 1, 3]), torch.tensor([2, 0, 3, 1])
    found = info_nce(estimates[rows], candidates[columns], torch.argsort(columns)[targets[rows]], SCALE)
    torch.testing.assert_close(found, expected)


def test_descending_it_brings_estimates_to_their_candidates() -> None:
    candidates, targets = unit(5, 8), torch.tensor([4, 0, 3, 3, 1, 2])
    estimates = unit(6, 8, seed=1).requires_grad_()
    optimizer = torch.optim.Adam([estimates], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        info_nce(estimates, candidates, targets, SCALE).backward()
        optimizer.step()
    assert torch.equal((estimates @ candidates.T).argmax(dim=1), targets)


def test_judge_does_not_count_other_pictures_of_the_concept_as_wrong() -> None:
    candidates = np.eye(4, dtype=np.float32)
    judge = Judge(candidates, classes=np.array([0, 0, 1, 2]), targets=np.array([0, 2]))
    assert judge.n_ways == 3
    vectors = np.array([[0.6, 0.8, 0, 0], [0, 0, 0.6, 0.8]], dtype=np.float32)
    # The first errs only within its concept. The second is behind one of three competitors, of which two are drawn.
    assert judge(vectors) == pytest.approx({"top1": (1 + 1 / 3) / 2, "top5": 1.0})


def test_judge_of_two_classes_gives_the_auc() -> None:
    angles = np.array([0.1, 0.9, 1.2, 0.6])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    judge = Judge(np.eye(2, dtype=np.float32), classes=np.arange(2), targets=np.array([0, 0, 1, 1]))
    found = judge(vectors)
    assert found["auc"] == pytest.approx(0.75)  # of four pairs, 0.9 (negative) beats 0.6 (positive)
    assert found["top1"] == pytest.approx(0.5)


def test_log_losses_sum_the_probabilities_of_a_concept() -> None:
    judge = Judge(np.eye(3, dtype=np.float32), classes=np.array([0, 0, 1]), targets=np.array([1]))
    weights = np.exp(2.0 * np.array([0.1, 0.3, 0.9]))
    found = judge.log_losses(np.array([[0.1, 0.3, 0.9]], dtype=np.float32), 2.0)
    assert found[0] == pytest.approx(-np.log(weights[:2].sum() / weights.sum()), rel=1e-6)


@pytest.mark.parametrize("true_scale", [2.0, 10.0, 40.0])
def test_temperature_is_the_one_the_answers_were_drawn_with(true_scale: float) -> None:
    rng = np.random.default_rng(0)
    candidates, vectors = unit(5, 4).numpy(), unit(4000, 4, seed=1).numpy()
    chances = np.exp(true_scale * vectors @ candidates.T)
    chances /= chances.sum(axis=1, keepdims=True)
    targets = (rng.random((4000, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=4)
    judge = Judge(candidates.astype(np.float32), classes=np.arange(5), targets=targets)
    scale, losses = fit_temperature(judge, vectors.astype(np.float32))
    assert scale == pytest.approx(true_scale, rel=0.12)
    assert losses.shape == (4000,)
    scores = vectors.astype(np.float32) @ candidates.astype(np.float32).T
    for other in (scale / 1.5, scale * 1.5):
        assert judge.log_losses(scores, other).mean() > losses.mean()


def test_temperature_of_vectors_that_know_nothing_is_low() -> None:
    rng = np.random.default_rng(0)
    judge = Judge(unit(5, 4).numpy().astype(np.float32), classes=np.arange(5), targets=rng.integers(0, 5, 500))
    scale, losses = fit_temperature(judge, unit(500, 4, seed=1).numpy().astype(np.float32))
    assert scale < 1.5
    assert losses.mean() == pytest.approx(np.log(5), abs=0.05)
