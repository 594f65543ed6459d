"""Answers take in earlier presentations of the same stimulus, and forget the oldest; they say when they are sure."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from necomimi.decoder import Decoder
from necomimi.encoders import build
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor
from necomimi.realtime import answering
from necomimi.realtime.answering import Answerer
from necomimi.records import Epoch, Event, StreamInfo

CH_NAMES = ("Oz", "Cz")
INFO = StreamInfo(
    name="amp", type="EEG", source_id="s", uid="u", ch_names=CH_NAMES, sfreq=250.0, units=("V", "V"),
    warnings=("Cz is interpolated",),
)  # fmt: skip


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.manual_seed(0)
    gallery = Gallery.from_labels(["cat", "dog", "owl"])
    config = {"name": "multiblur", "n_chans": 2, "n_times": 100, "n_outputs": gallery.n_dims}
    preprocessor = Preprocessor(
        ch_names=CH_NAMES, sfreq=250.0, tmin=-0.1, tmax=0.4, baseline=(-0.1, 0.0), start=0.0, n_times=100,
        spatial=np.eye(2, dtype=np.float32) * 1e5,
    )  # fmt: skip
    return Decoder(
        encoder_config=config, encoder=build(**config), preprocessor=preprocessor, space=gallery.space,
        logit_scale=3.0, gallery=gallery,
    )  # fmt: skip


def epochs(*labels: str, seed: int = 0, until: float | None = None) -> list[Epoch]:
    rng = np.random.default_rng(seed)
    n_times = 126 if until is None else 25 + round(until * 250) + 1
    return [
        Epoch(
            event=Event(onset=float(i), label=label, code=i), tmin=-0.1, sfreq=250.0, info=INFO, until=until,
            data=rng.normal(scale=1e-5, size=(2, n_times)).astype(np.float32),
        )
        for i, label in enumerate(labels)
    ]  # fmt: skip


def test_a_batch_gives_what_single_epochs_give(decoder: Decoder) -> None:
    batch = epochs("cat", "dog", "cat", "owl")
    together = Answerer(decoder, 3, average=4, similarities=True)(batch)
    alone = Answerer(decoder, 3, average=4, similarities=True)
    for epoch, answer in zip(batch, together, strict=True):
        (single,) = alone([epoch])
        assert answer.retrieval.event is epoch.event
        assert answer.retrieval.labels == single.retrieval.labels
        assert answer.retrieval.n_averaged == single.retrieval.n_averaged
        assert answer.retrieval.warnings == ("Cz is interpolated",)
        np.testing.assert_allclose(answer.retrieval.scores, single.retrieval.scores, atol=1e-5)
        np.testing.assert_allclose(answer.embedding.vector, single.embedding.vector, atol=1e-5)
        assert answer.similarities is not None
        np.testing.assert_allclose(
            answer.similarities, decoder.similarities(answer.embedding.vector[None])[0], atol=1e-5
        )
        np.testing.assert_allclose(answer.mean, single.mean, atol=1e-5)
        if answer.retrieval.n_averaged == 1:
            np.testing.assert_array_equal(answer.mean, answer.embedding.vector)
    assert [answer.retrieval.n_averaged for answer in together] == [1, 1, 2, 1]
    mean = together[0].embedding.vector + together[2].embedding.vector
    np.testing.assert_allclose(together[2].mean, mean / np.linalg.norm(mean), atol=1e-6)


def test_an_unfinished_epoch_uses_the_evidence_and_leaves_none(decoder: Decoder) -> None:
    answerer = Answerer(decoder, 3, average=2)
    whole = [answerer([epoch])[0] for epoch in epochs("cat", "cat", "cat")]
    assert [answer.retrieval.n_averaged for answer in whole] == [1, 2, 2]
    (early,) = answerer(epochs("cat", seed=1, until=0.2))
    assert early.retrieval.until == 0.2
    assert early.retrieval.n_averaged == 2
    expected = np.stack([whole[-1].embedding.vector, early.embedding.vector])
    np.testing.assert_allclose(early.retrieval.scores, decoder.retrieve_averaged(expected, 3)[1], atol=1e-6)
    (after,) = answerer(epochs("cat", seed=2))
    expected = np.stack([whole[-1].embedding.vector, after.embedding.vector])
    np.testing.assert_allclose(after.retrieval.scores, decoder.retrieve_averaged(expected, 3)[1], atol=1e-6)


def test_evidence_is_bounded(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "MAX_STIMULI", 2)
    answerer = Answerer(decoder, 3, average=5)
    answers = [answerer([epoch])[0].retrieval.n_averaged for epoch in epochs("a", "b", "a", "c", "b", "a")]
    assert answers == [1, 1, 2, 1, 1, 1]  # c pushed out b, b pushed out a


def test_sure_answers_are_marked_and_told_once(decoder: Decoder, caplog: pytest.LogCaptureFixture) -> None:
    batch = epochs("cat", "cat", "cat")
    best = Answerer(decoder, 3)(batch)[0].retrieval.scores[0]
    with caplog.at_level(logging.INFO, logger="necomimi.realtime.answering"):
        (answer,) = Answerer(decoder, 3, sure=float(best) - 1e-6)(batch[:1])
        assert answer.retrieval.sure
        (answer,) = Answerer(decoder, 3, sure=float(best) + 1e-6)(batch[:1])
        assert not answer.retrieval.sure
        assert len(caplog.messages) == 1
        assert caplog.messages[0].startswith("sure: 'cat' is ")
        again = Answerer(decoder, 3, sure=float(best) - 1e-6)
        for _ in range(3):
            again(batch[:1])
        assert len(caplog.messages) == 2
