"""Each picture is painted once, from the embeddings that its condition says, and never from those of another space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from necomimi.decoder import Decoder
from necomimi.epochs import Epochs, EpochSet
from necomimi.errors import ConfigError, DatasetError
from necomimi.gallery import Gallery
from necomimi.offline.reconstruction import (
    PICTURE_SIZE,
    choose_shown,
    depends_on_seed,
    list_conditions,
    paint,
    true_pictures,
)


@pytest.fixture
def decoder(painted_person: Path) -> Decoder:
    return Decoder.load(painted_person / "decoder")


@pytest.fixture
def part(painted_person: Path) -> EpochSet:
    test = Epochs.load(painted_person / "epochs").test
    assert test is not None
    return test


@pytest.fixture
def gallery(painted_person: Path) -> Gallery:
    return Gallery.load(painted_person / "gallery")


def test_each_picture_is_taken_once(decoder: Decoder, part: EpochSet, gallery: Gallery) -> None:
    shown = choose_shown(decoder, part, gallery, None)
    assert shown.items.tolist() == list(range(20))
    assert shown.concepts == gallery.labels
    assert (shown.names[:2], shown.n_averaged) == (("test00_01b", "test01_01b"), 3)
    mean = np.asarray(part.data)[[i for i, label in enumerate(part.labels) if label == "test07"]].mean(axis=0)
    np.testing.assert_allclose(shown.vectors[7], decoder.embed(mean[None])[0], atol=1e-5)
    single = choose_shown(decoder, part, gallery, 1)
    assert (len(single), single.n_averaged) == (20, 1)
    singles = decoder.embed(np.asarray(part.data)[[i for i, label in enumerate(part.labels) if label == "test07"]])
    assert min(np.abs(singles - single.vectors[7]).max(axis=1)) < 1e-5


def test_limit_takes_pictures_from_everywhere(decoder: Decoder, part: EpochSet, gallery: Gallery) -> None:
    assert choose_shown(decoder, part, gallery, None, limit=3).items.tolist() == [0, 10, 19]
    assert len(choose_shown(decoder, part, gallery, None, limit=99)) == 20


def test_names_are_all_different_and_fit_for_files(decoder: Decoder, part: EpochSet, gallery: Gallery) -> None:
    files = list(gallery.files)
    renamed = {files[0]: "a/same name.png", files[1]: "b/same name.jpg", files[2]: "c/.hidden?.png"}
    other = replace(gallery, files=tuple(renamed.get(file, file) for file in files))
    changed = [replace_picture(part, renamed)]
    names = choose_shown(decoder, changed[0], other, None).names
    assert len(set(names)) == 20
    assert {"same_name", "same_name-2", "hidden_"} < set(names)


def replace_picture(part: EpochSet, renamed: dict[str, str]) -> EpochSet:
    """Return epochs whose pictures have other names."""
    return replace(part, pictures=tuple(renamed.get(name, name) for name in part.pictures))


def test_true_pictures_are_the_middle_squares_of_their_files(painted_person: Path, gallery: Gallery) -> None:
    items = np.array([5, 2])
    pictures = true_pictures(gallery, items, painted_person / "pictures")
    assert (pictures.shape, pictures.dtype) == ((2, PICTURE_SIZE, PICTURE_SIZE, 3), np.uint8)
    with Image.open(painted_person / "pictures" / gallery.files[2]) as wide:
        middle = np.asarray(wide)[:, 10:70]
    np.testing.assert_allclose(pictures[1, 71::142, 71::142], middle[10::20, 10::20], atol=2)
    np.testing.assert_array_equal(true_pictures(gallery, items, None), np.asarray(gallery.thumbnails)[items])
    with pytest.raises(DatasetError, match="--pictures FOLDER"):
        true_pictures(replace(gallery, thumbnails=None), items, None)
    with pytest.raises(DatasetError, match=r"2 of 2 pictures are not in .*such as 00005_test05/test05_01b.png"):
        true_pictures(gallery, items, painted_person)


def test_conditions_paint_from_what_they_say(
    decoder: Decoder, part: EpochSet, gallery: Gallery, painters: ModuleType
) -> None:
    shown = choose_shown(decoder, part, gallery, None)
    found = {each.name: each.vectors(0) for each in list_conditions(decoder, painters.Blocks(), gallery, shown)}
    assert list(found) == ["floor", "one-stage", "two-stage", "ceiling"]
    np.testing.assert_array_equal(found["ceiling"], gallery.embeddings)
    np.testing.assert_array_equal(found["one-stage"], shown.vectors)
    np.testing.assert_array_equal(found["two-stage"], decoder.to_image_space(shown.vectors))
    assert decoder.prior is not None
    mean = decoder.prior.image_mean.numpy()
    np.testing.assert_allclose(found["floor"], mean[None] / np.linalg.norm(mean), atol=1e-6)
    for vectors in found.values():
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    decoder.prior = None
    found = {each.name: each.vectors(0) for each in list_conditions(decoder, painters.Blocks(), gallery, shown)}
    assert list(found) == ["floor", "one-stage", "ceiling"]
    mean = gallery.embeddings.mean(axis=0)
    np.testing.assert_allclose(found["floor"], mean[None] / np.linalg.norm(mean), atol=1e-6)


def test_a_prior_leads_where_the_decoder_does_not(
    decoder: Decoder, part: EpochSet, gallery: Gallery, painters: ModuleType
) -> None:
    """A decoder with an image adapter has a space of its own: there are two stages or none."""
    shown = choose_shown(decoder, part, gallery, None)
    decoder.space = f"{painters.SPACE}?adapter=00112233"
    names = [each.name for each in list_conditions(decoder, painters.Blocks(), gallery, shown)]
    assert names == ["floor", "two-stage", "ceiling"]
    decoder.prior = None
    with pytest.raises(ConfigError, match=r"blocks:27\?adapter=00112233(.|\n)*blocks:27, which the generator blocks"):
        list_conditions(decoder, painters.Blocks(), gallery, shown)


def test_gallery_of_another_space_is_refused_with_both_names(
    decoder: Decoder, part: EpochSet, gallery: Gallery, painters: ModuleType
) -> None:
    shown = choose_shown(decoder, part, gallery, None)
    with pytest.raises(ConfigError, match=r"open_clip:X/y(.|\n)*blocks:27, which the generator blocks"):
        list_conditions(decoder, painters.Blocks(), replace(gallery, space="open_clip:X/y"), shown)


def test_gallery_with_blur_levels_serves_by_its_sharp_pictures(
    decoder: Decoder, part: EpochSet, gallery: Gallery, painters: ModuleType
) -> None:
    shown = choose_shown(decoder, part, gallery, None)
    blurred = replace(
        gallery, space=f"{gallery.space}?levels=1,3", blur_levels=(1, 3), levels=np.stack([gallery.embeddings] * 2, 1)
    )
    conditions = list_conditions(decoder, painters.Blocks(), blurred, shown)
    np.testing.assert_array_equal(conditions[-1].vectors(0), gallery.embeddings)


def test_labels_are_no_pictures(decoder: Decoder, part: EpochSet) -> None:
    with pytest.raises(DatasetError, match="gallery of labels"):
        choose_shown(decoder, part, Gallery.from_labels(part.labels), None)


def test_batches_make_up_all_pictures(gallery: Gallery, painters: ModuleType) -> None:
    noisy = painters.Blocks(noise=20.0)
    pictures = np.concatenate(list(paint(noisy, gallery.embeddings[:10], seed=3)))
    np.testing.assert_array_equal(pictures, noisy.paint(gallery.embeddings[:10], [3] * 10))
    assert depends_on_seed(noisy, gallery.embeddings[0])
    assert not depends_on_seed(painters.Blocks(), gallery.embeddings[0])


def test_seeds_reach_a_prior_that_draws(
    decoder: Decoder, part: EpochSet, gallery: Gallery, painters: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, asked = choose_shown(decoder, part, gallery, None), []
    drawing = SimpleNamespace(
        kind="flow", space=painters.SPACE, image_mean=decoder.prior.image_mean,  # type: ignore[union-attr]
        to_image_space=lambda vectors, seeds: asked.append(list(seeds)) or vectors,
    )  # fmt: skip
    monkeypatch.setattr(decoder, "prior", drawing)
    two = next(each for each in list_conditions(decoder, painters.Blocks(), gallery, shown) if each.name == "two-stage")
    two.vectors(2)
    assert asked == [[2] * 20]
