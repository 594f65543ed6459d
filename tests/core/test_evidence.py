"""Presentations of one stimulus add up as the docstring says, and a single one is never changed."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from necomimi.evidence import METHODS, Averaging
from necomimi.gallery import Gallery

SCALE = 9.0


def unit(*shape: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=shape)
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def make_gallery() -> Gallery:
    """Return six items of four classes."""
    return Gallery(labels=("a", "b", "a", "c", "d", "c"), files=("",) * 6, embeddings=unit(6, 5), space="random:5")


def plain(averaging: Averaging, vectors: np.ndarray, gallery: Gallery) -> dict[str, float]:
    """Return the probability of each class, one number at a time."""
    n, evidence = len(vectors), dict.fromkeys(gallery.classes, 0.0)
    if averaging.method == "embeddings":
        mean = vectors.astype(float).mean(axis=0)
        mean /= math.sqrt(float(mean @ mean))
        weights = dict.fromkeys(gallery.classes, 0.0)
        for label, item in zip(gallery.labels, gallery.embeddings.astype(float), strict=True):
            weights[label] += math.exp(SCALE * n**averaging.exponent * float(mean @ item))
        return {label: weight / sum(weights.values()) for label, weight in weights.items()}
    for vector in vectors.astype(float):
        weights = dict.fromkeys(gallery.classes, 0.0)
        for label, item in zip(gallery.labels, gallery.embeddings.astype(float), strict=True):
            weights[label] += math.exp(SCALE * float(vector @ item))
        for label, weight in weights.items():
            evidence[label] += math.log(weight / sum(weights.values())) / n
    weights = {label: math.exp(n**averaging.exponent * value) for label, value in evidence.items()}
    return {label: weight / sum(weights.values()) for label, weight in weights.items()}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("exponent", [0.0, 0.35, 1.0])
@pytest.mark.parametrize("n", [2, 5])
def test_answer_equals_a_plain_computation(method: str, exponent: float, n: int) -> None:
    gallery, averaging = make_gallery(), Averaging(method, exponent, True)  # type: ignore[arg-type]
    vectors = unit(3, n, 5, seed=1)
    labels, scores = gallery.best(averaging.class_scores(vectors, gallery, SCALE), 4)
    for names, row, presentations in zip(labels, scores, vectors, strict=True):
        expected = plain(averaging, presentations, gallery)
        assert list(names) == sorted(expected, key=lambda name: -expected[name])
        assert row == pytest.approx([expected[name] for name in names], rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_one_presentation_is_exactly_what_the_gallery_says(method: str) -> None:
    gallery, vectors = make_gallery(), unit(7, 1, 5, seed=2)
    found = Averaging(method, 0.7).class_scores(vectors, gallery, SCALE)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, gallery.class_scores(vectors[:, 0], SCALE))


@pytest.mark.parametrize("method", METHODS)
def test_order_of_the_presentations_does_not_matter(method: str) -> None:
    gallery, averaging, vectors = make_gallery(), Averaging(method, 0.5), unit(2, 6, 5, seed=3)  # type: ignore[arg-type]
    again = averaging.class_scores(vectors[:, ::-1], gallery, SCALE)
    np.testing.assert_allclose(again, averaging.class_scores(vectors, gallery, SCALE), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_agreeing_presentations_make_surer_and_a_larger_exponent_more_so(method: str) -> None:
    gallery, vector = make_gallery(), unit(1, 5, seed=4)
    single = gallery.best(gallery.class_scores(vector, SCALE), 1)[1][0, 0]
    found = [
        gallery.best(Averaging(method, b).class_scores(np.repeat(vector[None], 8, axis=1), gallery, SCALE), 1)[1][0, 0]  # type: ignore[arg-type]
        for b in (0.0, 0.5, 1.0)
    ]
    assert found[0] == pytest.approx(single, rel=1e-4)  # an exponent of 0 is a mean: no surer than its parts
    assert found[0] < found[1] < found[2]


def test_disagreeing_presentations_of_log_probabilities_cancel() -> None:
    gallery = Gallery.from_labels("ab")
    vectors = np.array([[[0.8, 0.6], [0.6, 0.8]]], dtype=np.float32)
    scores = gallery.best(Averaging("log-probabilities", 1.0).class_scores(vectors, gallery, SCALE), 2)[1]
    np.testing.assert_allclose(scores, [[0.5, 0.5]], atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (("votes", 0.5), "votes"),
        (("embeddings", -0.1), "at least 0"),
        (("embeddings", math.nan), "finite"),
    ],
)
def test_impossible_averaging_is_refused(fields: tuple[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Averaging(*fields)  # type: ignore[arg-type]


def test_config_comes_back() -> None:
    averaging = Averaging("log-probabilities", 0.35, True)
    assert Averaging.from_config(averaging.to_config()) == averaging
    with pytest.raises(KeyError):
        Averaging.from_config({"method": "embeddings"})


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, necomimi.evidence; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
