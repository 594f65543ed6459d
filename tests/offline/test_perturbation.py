"""Noise is like the channel it stands for, and costs what the channel told; tests and means are those done by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from necomimi.decoder import Decoder
from necomimi.encoders import Encoder
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery
from necomimi.offline.masking import replaced
from necomimi.offline.perturbation import (
    Condition,
    choose_channels,
    list_conditions,
    measure,
    noise_like,
    over_people,
)
from necomimi.preprocessing import Preprocessor
from necomimi.things_eeg2 import MODEL_CH_NAMES, VISUAL_CORTEX

CH_NAMES = ("Fz", "Cz", "Pz", "O1", "Oz", "O2")
N_TIMES, N_CLASSES = 4, 12
BACK = (3, 4, 5)


class Back(Encoder):
    """Reads the picture's embedding off the channels at the back, and nothing else."""

    def __init__(self) -> None:
        super().__init__(len(CH_NAMES), N_TIMES, N_TIMES * len(BACK))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, list(BACK)].flatten(1)


@pytest.fixture(scope="module")
def case() -> tuple[Decoder, np.ndarray, np.ndarray]:
    """Return a decoder that is always right, its queries and their targets."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N_CLASSES, len(BACK) * N_TIMES))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = tuple(f"c{i}" for i in range(N_CLASSES))
    gallery = Gallery(
        labels=labels,
        files=tuple(f"{name}.jpg" for name in labels),
        embeddings=vectors.astype(np.float32),
        space="a:12",
    )
    preprocessor = Preprocessor(
        ch_names=CH_NAMES, sfreq=100.0, tmin=0.0, tmax=0.03, baseline=None, start=0.0, n_times=N_TIMES,
        spatial=np.eye(len(CH_NAMES), dtype=np.float32),
    )  # fmt: skip
    targets = np.tile(np.arange(N_CLASSES), 3)
    data = rng.normal(size=(len(targets), len(CH_NAMES), N_TIMES)).astype(np.float32)
    data[:, BACK] = vectors[targets].reshape(len(targets), len(BACK), N_TIMES)
    decoder = Decoder(
        encoder_config={"n_chans": len(CH_NAMES), "n_times": N_TIMES, "n_outputs": gallery.n_dims}, encoder=Back(),
        preprocessor=preprocessor, space="a:12", logit_scale=10.0, gallery=gallery,
    )  # fmt: skip
    return decoder, data, targets


def test_visual_cortex_is_the_default_and_names_are_found_as_they_are_written() -> None:
    assert choose_channels(MODEL_CH_NAMES).ch_names == VISUAL_CORTEX
    assert [MODEL_CH_NAMES.index(name) for name in VISUAL_CORTEX] == [50, 56, 57, 58, 60, 61, 62]
    here = choose_channels(CH_NAMES)
    assert (here.name, here.ch_names) == ("visual cortex", ("Pz", "O1", "Oz", "O2"))
    assert choose_channels(CH_NAMES, channels="oz, EEG Fz-REF").ch_names == ("Fz", "Oz")
    assert choose_channels(CH_NAMES, region="occipital,frontal").ch_names == ("Fz", "O1", "Oz", "O2")
    assert choose_channels(CH_NAMES, region="occipital,frontal").name == "frontal, occipital"
    for options, words in (
        ({"channels": "Oz,O9"}, r"no O9 among the channels of the decoder\n.*Fz, Cz"),
        ({"region": "temporal"}, r"no temporal among the regions of the decoder's channels\n.*frontal, central"),
        ({"channels": "Oz", "region": "occipital"}, r"--channels and --region"),
        ({"channels": ","}, r"at least one name"),
        ({"region": ""}, r"at least one name"),
    ):
        with pytest.raises(ConfigError, match=words):
            choose_channels(CH_NAMES, **options)
    with pytest.raises(ConfigError, match=r"no Pz, PO3, .* among the channels"):
        choose_channels(("Fz", "Cz"))


def test_noise_has_the_channel_s_mean_and_deviation_and_no_more_of_it() -> None:
    rng = np.random.default_rng(1)
    levels, spreads = np.array([3.0, -5.0, 0.0]), np.array([0.5, 2.0, 1.0])
    data = (levels[:, None] + spreads[:, None] * rng.normal(size=(200, 3, 100))).astype(np.float32)
    noise = noise_like(data, [0, 1], (0, 7))
    assert noise.dtype == np.float32
    for i in range(2):
        own = data[:, i]
        n = own.size
        assert abs(noise[:, i].mean() - own.mean()) < 4 * spreads[i] / np.sqrt(n)
        assert abs(noise[:, i].std() / own.std() - 1) < 4 / np.sqrt(2 * n)
        assert abs(np.corrcoef(noise[:, i].ravel(), own.ravel())[0, 1]) < 4 / np.sqrt(n)
    np.testing.assert_array_equal(noise_like(data, [1], (0, 7))[:, 0], noise[:, 1])  # whoever else is disturbed
    for other in ((1, 7), (0, 8)):
        assert abs(np.corrcoef(noise_like(data, [0], other).ravel(), noise[:, 0].ravel())[0, 1]) < 4 / np.sqrt(20000)
    assert noise_like(data, [], (0, 7)).shape == (200, 0, 100)


def test_channels_are_put_back_whatever_happens() -> None:
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    untouched = data.copy()
    with pytest.raises(RuntimeError, match="on the way"), replaced(data, [0, 2], np.full(4, -1.0)):  # noqa: PT012
        assert (data[:, [0, 2]] == -1).all()
        np.testing.assert_array_equal(data[:, 1], untouched[:, 1])
        raise RuntimeError("on the way")
    np.testing.assert_array_equal(data, untouched)


def test_only_channels_that_are_read_cost_something(case: tuple[Decoder, np.ndarray, np.ndarray]) -> None:
    decoder, data, targets = case
    untouched = data.copy()
    conditions = list_conditions(CH_NAMES, choose_channels(CH_NAMES), each=True)
    kinds = [condition.kind for condition in conditions]
    assert kinds == ["before", "chosen", *["region"] * 4, *["channel"] * 6]
    seen: list[tuple[str, int]] = []
    rows = measure(
        decoder, data, targets, conditions, subject="sub-01", n_seeds=3,
        on_embedded=lambda condition, seed, vectors: seen.append((condition.name, seed)),
    )  # fmt: skip
    np.testing.assert_array_equal(data, untouched)
    assert seen == [("undisturbed", 0)] + [(c.name, seed) for c in conditions[1:] for seed in range(3)]
    before, after = rows[:2]
    assert (before["top1"], before["cosine"], before["loss_top1"]) == (1.0, pytest.approx(1.0), 0.0)
    assert (before["n_seeds"], before["top1_sd"], before["loss_two_way_p"]) == (1, None, 1.0)
    assert (after["chance_top1"], after["chance_top5"], after["chance_two_way"]) == (1 / 12, 5 / 12, 0.5)
    assert after["top1"] < 0.3  # all that is read is noise
    assert abs(after["two_way"] - 0.5) < 0.2
    assert abs(after["cosine"]) < 0.25
    assert after["loss_top1"] == pytest.approx(before["top1"] - after["top1"])
    low, high = after["loss_top1_interval"]
    assert 0.5 < low < after["loss_top1"] < high
    assert after["loss_top1_p"] == pytest.approx(2 * 0.5**12)  # each of the 12 concepts loses
    by_name = {(row["kind"], row["name"]): row for row in rows}
    for key, row in by_name.items():
        if not set(row["channels"]) & {"O1", "Oz", "O2"}:
            assert row["loss_two_way"] == 0.0, key
            assert row["cosine"] == pytest.approx(1.0)
    assert by_name["region", "occipital"]["top1"] == after["top1"]  # the same noise: Pz is not read
    assert all(0 < by_name["channel", name]["loss_two_way"] < after["loss_two_way"] for name in ("O1", "Oz", "O2"))
    again = measure(decoder, data, targets, conditions[:2], subject="sub-01", n_seeds=3)
    assert again == rows[:2]
    other = measure(decoder, data, targets, conditions[:2], subject="sub-02", n_seeds=3)
    assert other[1]["cosine"] != after["cosine"]


def test_means_over_people_are_a_paired_t_test() -> None:
    def row(subject: str, kind: str, lost: float) -> dict[str, Any]:
        figures = {}
        for figure in ("top1", "top5", "two_way"):
            figures |= {figure: 0.8 - lost, f"{figure}_sd": 0.1, f"{figure}_interval": [0.0, 1.0]}
            figures |= {f"loss_{figure}": lost, f"loss_{figure}_p": 0.5, f"loss_{figure}_interval": [0.0, 1.0]}
        return {"subject": subject, "kind": kind, "name": kind, "cosine": 1 - lost, "n_queries": 9, **figures}

    losses = (0.1, 0.2, 0.6)
    rows = [row(f"sub-{i}", kind, lost if kind == "chosen" else 0.0) for i, lost in enumerate(losses)
            for kind in ("before", "chosen")]  # fmt: skip
    before, chosen = over_people(rows)
    assert (before["top1"], before["loss_top1_p"], chosen["n_subjects"]) == (pytest.approx(0.8), None, 3)
    assert (chosen["loss_top1"], chosen["top1"]) == (pytest.approx(0.3), pytest.approx(0.5))
    deviation = np.std(losses, ddof=1) / np.sqrt(3)
    half = 4.302653 * deviation  # t of 2 degrees of freedom
    assert chosen["loss_two_way_interval"] == pytest.approx([0.3 - half, 0.3 + half])
    t = 0.3 / deviation
    assert chosen["loss_two_way_p"] == pytest.approx(1 - t / np.sqrt(t**2 + 2))
    assert chosen["top1_interval"] == [0.0, 1.0]  # cut to what an accuracy can be
    assert not {"subject", "n_queries", "top1_sd"} & set(chosen)
    assert over_people(rows[:2]) == []


def test_one_class_is_no_choice(case: tuple[Decoder, np.ndarray, np.ndarray]) -> None:
    decoder, data, targets = case
    assert decoder.gallery is not None
    one = Gallery(labels=("c0",), files=("c0.jpg",), embeddings=decoder.gallery.embeddings[:1], space="a:12")
    alone = Decoder(
        encoder_config=decoder.encoder_config, encoder=decoder.encoder, preprocessor=decoder.preprocessor,
        space="a:12", logit_scale=10.0, gallery=one,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="a gallery of 1 class"):
        measure(alone, data, 0 * targets, [Condition(kind="before", name="", ch_names=())], subject="", n_seeds=1)
