"""Potentials obey physics, features are standardised, responses add up whatever stretch of time is asked for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from necomimi.simulated_cortex import N_TIMES, PictureAxes, Waves, draw_delays, lead_field, visual_cortex
from necomimi.things_eeg2 import RAW_CH_NAMES

EEG_NAMES = RAW_CH_NAMES[:-1]


@pytest.fixture(scope="module")
def waves() -> Waves:
    return visual_cortex(EEG_NAMES, np.random.default_rng(0))


def test_lead_field_is_largest_above_a_radial_dipole_and_linear_in_its_direction() -> None:
    places = np.array([[0, 0, 0.8], [0, -0.8, 0.0], [0, -0.8, 0.0]])
    gain = lead_field(EEG_NAMES, places, np.array([[0, 0, 1], [0, -1, 0], [0, 1, 0]]))
    assert EEG_NAMES[np.argmax(gain[:, 0])] == "Cz"
    assert EEG_NAMES[np.argmax(gain[:, 1])] == "Oz"
    np.testing.assert_allclose(gain[:, 1], -gain[:, 2], rtol=1e-6)


def test_lead_field_is_relative_to_fz() -> None:
    gain = lead_field(EEG_NAMES, np.array([[0, 0.55, 0.55]]), np.array([[0, 1, 1]]))
    assert (gain < 0).all()  # no electrode is as positive as the reference above the dipole
    assert EEG_NAMES[np.argmax(gain)] in ("F1", "F2", "AFz", "FCz")


def test_lead_field_keeps_the_order_of_the_dipoles() -> None:
    rng = np.random.default_rng(1)
    places, moments = rng.uniform(-0.4, 0.4, (4, 3)), rng.normal(size=(4, 3))
    alone = [lead_field(EEG_NAMES, places[i : i + 1], moments[i : i + 1]) for i in range(4)]
    np.testing.assert_allclose(lead_field(EEG_NAMES, places, moments), np.concatenate(alone, axis=1), rtol=1e-6)


def test_features_are_standardised_and_the_first_tell_concepts_apart() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 3)
    embeddings = rng.normal(size=(100, 128))[groups] + 0.5 * rng.normal(size=(300, 128))
    features = PictureAxes.fit(embeddings, groups).describe(embeddings)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(features.std(axis=0), 1, atol=1e-4)
    means = features.reshape(100, 3, -1).mean(axis=1)
    assert means[:, :48].var(axis=0).min() > 1.5 * means[:, 48:].var(axis=0).max()


def test_axes_that_few_pictures_cannot_define_are_zero() -> None:
    embeddings = np.random.default_rng(0).normal(size=(4, 32))
    features = PictureAxes.fit(embeddings, [0, 1, 2, 3]).describe(embeddings)
    assert np.isfinite(features).all()
    assert np.count_nonzero(features.any(axis=0)) == 3


def test_responses_do_not_depend_on_how_time_is_cut(waves: Waves) -> None:
    rng = np.random.default_rng(2)
    amplitudes = waves.amplitudes(rng.normal(size=(5, waves.specific.shape[2])))
    onsets, rows = 100 + 200 * np.arange(12), rng.integers(0, 5, 12)
    delays = draw_delays(rng, 12)
    whole = waves.evoked(0, 3500, onsets, delays, amplitudes, rows)
    cuts = [0, 1, 450, 451, 1700, 3500]
    parts = [waves.evoked(a, b, onsets, delays, amplitudes, rows) for a, b in pairwise(cuts)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-10)
    assert not whole[:, :80].any()  # nothing before the first onset
    assert not whole[:, onsets[-1] + N_TIMES + 60 :].any()


def test_overlapping_responses_add_up(waves: Waves) -> None:
    amplitudes = waves.amplitudes(np.random.default_rng(3).normal(size=(2, waves.specific.shape[2])))
    delays, rows = np.zeros((2, 3), dtype=np.int64), np.array([0, 1])
    onsets = np.array([0, 200])
    both = waves.evoked(0, 1000, onsets, delays, amplitudes, rows)
    one = [waves.evoked(0, 1000, onsets[i : i + 1], delays[:1], amplitudes, rows[i : i + 1]) for i in range(2)]
    np.testing.assert_allclose(both, one[0] + one[1], atol=1e-10)


def test_response_is_a_few_microvolts_and_occipital(waves: Waves) -> None:
    none = np.zeros((1, waves.specific.shape[2]))
    zero = np.zeros(1, dtype=np.int64)
    response = waves.evoked(0, N_TIMES, zero, np.zeros((1, 3), dtype=np.int64), waves.amplitudes(none), zero)
    size = np.abs(response).max(axis=1)
    assert 1e-6 < size.max() < 20e-6
    back = [EEG_NAMES.index(name) for name in ("O1", "Oz", "O2", "PO7", "PO8")]
    front = [EEG_NAMES.index(name) for name in ("F1", "F2", "FC1", "FC2", "AFz")]
    assert size[back].min() > 3 * size[front].max()
    assert 90 <= np.abs(response[back]).max(axis=0)[:140].argmax() <= 130  # the first wave
