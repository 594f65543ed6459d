"""Temperatures and averaging are those under which held-out presentations are likeliest."""

from __future__ import annotations

import numpy as np
import pytest

from necomimi.evidence import METHODS, Averaging
from necomimi.gallery import Gallery
from necomimi.offline.temperatures import fit_averaging, fit_temperatures
from necomimi.search import softmax

N_ITEMS, N_DIMS, SCALE = 40, 8, 12.0


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def make_gallery(n_classes: int = N_ITEMS) -> Gallery:
    embeddings = unit(np.random.default_rng(0).normal(size=(N_ITEMS, N_DIMS)))
    labels = tuple(f"c{i % n_classes}" for i in range(N_ITEMS))
    return Gallery(labels=labels, files=tuple(f"{i}.jpg" for i in range(N_ITEMS)), embeddings=embeddings, space="r:8")


def present(gallery: Gallery, n: int, own: float, shared: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return n noisy embeddings of each item, and the items; `shared` is an error that all of an item have."""
    rng = np.random.default_rng(1)
    items = np.repeat(np.arange(N_ITEMS), n)
    errors = np.repeat(shared * rng.normal(size=(N_ITEMS, N_DIMS)), n, axis=0)
    return unit(gallery.embeddings[items] + errors + own * rng.normal(size=(len(items), N_DIMS))), items


def loss(averaging: Averaging, vectors: np.ndarray, items: np.ndarray, gallery: Gallery, n: int) -> float:
    """Return the log loss of groups of n presentations of an item, in the order they came."""
    groups = vectors.reshape(-1, n, N_DIMS)
    targets = gallery.item_classes[items[::n]]
    chances = softmax(averaging.class_scores(groups, gallery, SCALE))
    return float(-np.log(chances[np.arange(len(targets)), targets]).mean())


@pytest.mark.parametrize("n_classes", [40, 10])
def test_the_fit_is_the_best_of_both_methods(n_classes: int) -> None:
    gallery = make_gallery(n_classes)
    vectors, items = present(gallery, 8, own=0.6)
    averaging, facts = fit_averaging(vectors, items, gallery, SCALE, seed=0)
    assert averaging.calibrated
    assert (facts["unit"], facts["sizes"]) == ("item", [2, 4, 8])
    assert set(facts["log_loss"]) == set(METHODS)
    assert facts["log_loss"][averaging.method] == min(facts["log_loss"].values())
    found = np.mean([loss(averaging, vectors, items, gallery, n) for n in (2, 4, 8)])
    assert found == pytest.approx(facts["log_loss"][averaging.method], rel=0.25)  # other groups of the same sizes
    for other in (max(0.0, averaging.exponent - 0.4), min(1.0, averaging.exponent + 0.4)):
        if other != averaging.exponent:
            worse = Averaging(averaging.method, other)
            assert np.mean([loss(worse, vectors, items, gallery, n) for n in (2, 4, 8)]) > found


def test_presentations_that_share_their_error_add_up_more_slowly() -> None:
    gallery = make_gallery()
    alone = fit_averaging(*present(gallery, 8, own=0.7), gallery, SCALE, seed=0)[0]
    shared = fit_averaging(*present(gallery, 8, own=0.35, shared=0.6), gallery, SCALE, seed=0)[0]
    assert shared.exponent < alone.exponent - 0.2


def test_pictures_shown_once_are_grouped_by_class_and_classes_seen_once_not_at_all() -> None:
    gallery = make_gallery(n_classes=10)
    averaging, facts = fit_averaging(*present(gallery, 1, own=0.3), gallery, SCALE, seed=0)
    assert (facts["unit"], facts["sizes"], averaging.calibrated) == ("class", [2, 4], True)
    single = make_gallery()
    assert fit_averaging(*present(single, 1, own=0.3), single, SCALE, seed=0) == (
        Averaging("embeddings", 0.5, False), {"unit": "", "sizes": [], "log_loss": {}},
    )  # fmt: skip


def test_sizes_that_leave_a_class_out_are_not_used() -> None:
    gallery = Gallery.from_labels(["often", "seldom"])
    items = np.array([0] * 90 + [1] * 6)
    vectors = unit(gallery.embeddings[items] + 0.5 * np.random.default_rng(0).normal(size=(96, 2)))
    assert fit_averaging(vectors, items, gallery, 5.0, seed=0)[1]["sizes"] == [2, 4]


def test_the_less_has_arrived_the_lower_the_scale() -> None:
    gallery = make_gallery()
    rng = np.random.default_rng(2)
    items = np.repeat(np.arange(N_ITEMS), 20)
    data = (gallery.embeddings[items][:, :, None] + 2.0 * rng.normal(size=(len(items), N_DIMS, 20))).astype(np.float32)

    def embed(rows: np.ndarray, n_times: int | None) -> np.ndarray:
        return unit(data[rows, :, :n_times].mean(axis=2))

    found = fit_temperatures(embed, items, gallery, ends={0.1: 2, 0.2: 5, 0.3: 12}, seed=0)
    scales = [scale for _, scale in found.early_scales]
    assert [until for until, _ in found.early_scales] == [0.1, 0.2, 0.3]
    assert scales == sorted(scales)
    assert scales[0] < 0.5 * found.logit_scale
    assert found.facts["n_presentations"] == len(items)
    assert found.averaging.calibrated
