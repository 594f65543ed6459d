"""The image adapter mixes blur levels as its paper's formula says, learns which to trust, and names what it made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from necomimi.adapter import BATCH_SIZE, ImageAdapter
from necomimi.errors import CheckpointError
from necomimi.gallery import Gallery

N_LEVELS, N_DIMS = 3, 8


def unit(*shape: int) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def make_gallery(n_items: int = 5) -> Gallery:
    levels = unit(n_items, N_LEVELS, N_DIMS)
    names = tuple(f"item{i}" for i in range(n_items))
    thumbnails = np.random.default_rng(1).integers(0, 256, (n_items, 96, 96, 3), dtype=np.uint8)
    return Gallery(names, names, levels[:, 0], "test:space?levels=1,3,9", thumbnails, levels, (1, 3, 9))


def make_adapter(seed: int = 0) -> ImageAdapter:
    torch.manual_seed(seed)
    adapter = ImageAdapter(N_LEVELS, N_DIMS, n_hidden=16)
    with torch.no_grad():
        adapter.level_weights.normal_()
    return adapter


def test_the_output_is_that_of_the_formula() -> None:
    adapter, levels = make_adapter().eval(), torch.tensor(unit(4, N_LEVELS, N_DIMS))
    first, last = adapter.layers[0], adapter.layers[3]
    weights = adapter.level_weights.exp() / adapter.level_weights.exp().sum(0)
    for picture, found in zip(levels, adapter(levels), strict=True):
        mixed = sum(weights[i] * picture[i] for i in range(N_LEVELS))
        hidden = F.elu(first.weight @ mixed + first.bias)
        expected = last.weight @ hidden + last.bias
        torch.testing.assert_close(found, expected / expected.norm(), rtol=1e-5, atol=1e-6)


def test_all_levels_count_the_same_before_training() -> None:
    adapter, levels = ImageAdapter(N_LEVELS, N_DIMS).eval(), torch.tensor(unit(4, N_LEVELS, N_DIMS))
    torch.testing.assert_close(adapter(levels), adapter(levels.flip(1)))
    assert adapter.layers[0].out_features == 768


def test_training_finds_the_level_that_tells() -> None:
    """Level 1 alone holds what the targets are made of: its weight must win in every dimension."""
    torch.manual_seed(0)
    adapter = ImageAdapter(N_LEVELS, N_DIMS, n_hidden=32, dropout=0.0)
    levels = F.normalize(torch.randn(256, N_LEVELS, N_DIMS), dim=-1)
    optimiser = torch.optim.Adam(adapter.parameters(), lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        loss = -(adapter(levels) * levels[:, 1]).sum(1).mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < -0.95
    assert (adapter.level_weights.argmax(0) == 1).all()


def test_an_adapted_gallery_keeps_its_items_and_is_of_another_space() -> None:
    adapter, gallery = make_adapter().train(), make_gallery()
    adapted = adapter.gallery(gallery)
    assert adapter.training  # as it was
    with torch.inference_mode():
        expected = adapter.eval()(torch.tensor(gallery.levels)).numpy()
    np.testing.assert_allclose(adapted.embeddings, expected, atol=1e-6)
    assert (adapted.labels, adapted.files) == (gallery.labels, gallery.files)
    np.testing.assert_array_equal(adapted.thumbnails, gallery.thumbnails)
    assert (adapted.levels, adapted.blur_levels) == (None, ())
    assert adapted.space == adapter.adapted_space(gallery.space)
    assert adapted.space.startswith("test:space?levels=1,3,9&adapter=")


def test_the_space_follows_the_weights() -> None:
    assert make_adapter(0).adapted_space("a?levels=1,3") == make_adapter(0).adapted_space("a?levels=1,3")
    assert make_adapter(0).adapted_space("a?levels=1,3") != make_adapter(1).adapted_space("a?levels=1,3")


def test_a_gallery_larger_than_a_batch_is_adapted_as_its_parts() -> None:
    adapter, gallery = make_adapter(), make_gallery(2)
    many = gallery.select(np.arange(BATCH_SIZE + 3) % 2)
    expected = adapter.gallery(gallery).embeddings[np.arange(len(many)) % 2]
    np.testing.assert_allclose(adapter.gallery(many).embeddings, expected, atol=1e-6)


def test_galleries_that_do_not_fit_are_refused_in_words() -> None:
    with pytest.raises(CheckpointError, match="no blur levels"):
        make_adapter().gallery(Gallery.from_labels(["a", "b"]))
    with pytest.raises(CheckpointError, match=r"\(3, 8\)"):
        ImageAdapter(2, N_DIMS, n_hidden=4).gallery(make_gallery())
