"""`necomimi bench` as a script meets it: its names, its counts, its verdicts; and the arithmetic behind them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from necomimi.decoder import Decoder
from necomimi.embedded_generator import GeneratorWeights
from necomimi.embedders import EMBEDDED_SPACE, N_DIMS
from necomimi.encoders import names
from necomimi.errors import ConfigError
from necomimi.picture_networks import PictureDecoder, PictureRefiner
from necomimi.realtime.bench import _print_pictures
from necomimi.realtime.bench_live import ratios
from necomimi.realtime.bench_setup import WARM_UP, Measurement, Settings, random_decoder
from necomimi.realtime.bench_soak import Soak, memory_slope
from necomimi.realtime.latency import quantiles

NECOMIMI = Path(sys.executable).with_name("necomimi")
FIGURES = ("sample_age_ms", "epoch_ready_ms", "decision_ms")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(NECOMIMI), "bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=280)


# Real runs


@pytest.mark.lsl
@pytest.mark.slow
def test_live_measures_every_system_in_one_run(tmp_path: Path) -> None:
    pytest.importorskip("mne_lsl", reason="mne-lsl is not installed: pip install 'necomimi[bench]'")
    small = PictureDecoder(N_DIMS, 4, 16, (8, 8)), PictureRefiner(N_DIMS, (8, 8))
    GeneratorWeights(space=EMBEDDED_SPACE, size=16, decoder=small[0], refiner=small[1], steps=1).save(tmp_path / "g")
    painting = ("--generator", "embedded", "--model", tmp_path / "g")
    done = run("live", "--json", "--seconds", 2, "--events", 10, "--peers", *painting)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    n_events = 10 * (2 + 1)  # and a second of warm-up
    for system in ("necomimi", "painting", "mne_lsl", "mne_lsl_manual", "pylsl"):
        row = results[system]
        for figure in FIGURES:
            values = [row[figure][name] for name in ("p50", "p95", "p99", "max")]
            assert all(math.isfinite(value) for value in values), (system, figure, values)
            assert 0 < values[0] <= values[1] <= values[2] <= values[3], (system, figure, values)
        assert row["decision_ms"]["p50"] > row["epoch_ready_ms"]["p50"], system
        assert 0 < row["cpu_percent"] < 400, system
        assert row["n_events"] == row["n_retrievals"] + row["n_refusals"] == n_events, (system, row)
        assert (row["n_refusals"], row["n_lost"]) == (0, 0), (system, row)
    assert results["necomimi"]["n_missing"] == 0
    assert results["necomimi"]["acquisition_percent"] <= results["necomimi"]["cpu_percent"] + 5
    painted = results["painting"]
    assert painted["n_events"] - 1 <= painted["n_pictures"] + painted["n_pictures_dropped"] <= painted["n_events"]
    assert 0 < painted["preview_ms"]["p50"] < painted["picture_ms"]["p50"] < 250
    assert set(results["ratios"]) == {"painting", "mne_lsl", "mne_lsl_manual", "pylsl"}
    settings = Settings(seconds=2, events=10.0, generator="embedded", model=str(tmp_path / "g"))
    assert results["settings"] == settings.to_json()


@pytest.mark.lsl
@pytest.mark.slow
def test_a_soak_accounts_for_every_sample_and_event() -> None:
    done = run("soak", "--json", "--minutes", 0.3, "--events", 20)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    sent = Settings(seconds=18, events=20.0).amplifier
    assert (result["ok"], result["problems"]) == (True, [])
    assert result["n_samples"] == result["n_samples_sent"] == sent.n_times
    assert result["n_events"] == result["n_events_sent"] == result["n_retrievals"] == sent.n_events
    assert result["n_refusals"] == result["n_missing"] == result["n_lost_samples"] == 0
    assert 0 < result["lag_s_max"] < 1
    assert result["memory"]["first_mb"] > 10


def test_a_user_mistake_is_told_in_words(refused: Callable[..., str]) -> None:
    assert "--encoder 'resnet'" in refused("bench", "live", "--encoder", "resnet")
    assert "--generator 'imagen'" in refused("bench", "live", "--generator", "imagen")


def test_pictures_are_judged_beside_the_decisions(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"p50": 10.0, "p95": 20.0, "p99": 30.0, "max": 40.0}
    row = dict.fromkeys(FIGURES, figures)
    painting = {**row, "decision_ms": {key: 1.5 * value for key, value in figures.items()}}
    found = ratios({"necomimi": row, "painting": painting, "mne_lsl": None, "mne_lsl_manual": None, "pylsl": None})
    assert found["painting"]["decision_ms"] == dict.fromkeys(figures, 1.5)
    painting |= {"preview_ms": None, "picture_ms": figures, "n_pictures": 7, "n_pictures_dropped": 2}
    _print_pictures({"painting": painting, "ratios": found, "settings": {"generator": "sd15"}})
    told = " ".join(capsys.readouterr().out.split())
    assert "decision with pictures / without 1.50x 1.50x 1.50x 1.50x 1.1x" in told
    assert "finest picture after it 10.0 ms 20.0 ms 30.0 ms 40.0 ms 250 ms" in told
    assert "preview after" not in told  # a generator that paints at once has none
    assert "7 decisions painted, 2 not" in told


# What every system is given


@pytest.mark.parametrize(
    ("sfreq", "chunk", "events", "due_s"),
    [
        (1000.0, 10, 5.0, 1.009),  # the last sample, at 1.000 s, is the first of its packet
        (1000.0, 1, 5.0, 1.0),
        (1000.0, 8, 5.0, 1.007),
        (2000.0, 20, 20.0, 1.0095),
        (512.0, 16, 4.0, 527 / 512),
    ],
)
def test_packet_of_the_last_sample_is_due_at_its_own_last_stamp(
    sfreq: float, chunk: int, events: float, due_s: float
) -> None:
    settings = Settings(seconds=1, sfreq=sfreq, chunk=chunk, events=events)
    assert settings.due_s == pytest.approx(due_s, abs=1e-9)
    onsets = settings.amplifier.onsets()
    assert np.all(onsets % chunk == 0)  # or packets would fall due at another place in each epoch
    assert settings.amplifier.n_events >= WARM_UP + events


@pytest.mark.parametrize(
    "wrong", [{"chunk": 0}, {"events": 3.0}, {"events": 0.0}, {"events": 101.0}, {"n_channels": 0}, {"chunk": 7}]
)
def test_settings_without_a_common_due_time_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        _ = Settings(seconds=10, **wrong).amplifier


@pytest.mark.parametrize("encoder", names())
def test_decoder_of_any_encoder_answers(encoder: str, tmp_path: Path) -> None:
    settings = Settings(seconds=1, n_channels=65, encoder=encoder)
    settings.save(tmp_path / "settings.json")
    random_decoder(Settings.load(tmp_path / "settings.json"), tmp_path / "decoder")
    decoder = Decoder.load(tmp_path / "decoder")
    rng = np.random.default_rng(0)
    data = rng.normal(scale=15e-6, size=(2, 65, settings.n_epoch)).astype(np.float32)
    labels, scores = decoder.retrieve(decoder.embed_raw(data, settings.sfreq), 5)
    assert len(labels) == 2
    assert np.isfinite(scores).all()


# Figures


def test_warm_up_is_not_counted() -> None:
    measurement = Measurement(psutil.Process())
    for i in range(WARM_UP):
        measurement.pulled(1.0)
        measurement.decided(1.0, 2.0, float(i))
    for i in range(4):
        measurement.pulled(0.001)
        measurement.decided(0.002, 0.003, 10.0 + i)
    result = measurement.result()
    assert result["sample_age_ms"] == dict.fromkeys(("p50", "p95", "p99", "max"), 1.0)
    assert result["epoch_ready_ms"]["max"] == 2.0
    assert result["decision_ms"]["max"] == 3.0
    assert result["cpu_percent"] >= 0


def test_percentiles_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).exponential(size=501)
    expected = np.percentile(values, (50, 95, 99, 100))
    assert list(quantiles(values.tolist()).values()) == pytest.approx(expected, abs=1e-3)
    assert all(math.isnan(value) for value in quantiles([]).values())


# Verdicts on a long run


def whole_run(**fields: Any) -> Soak:
    counts = {"n_samples_sent": 1000, "n_samples": 1000, "n_events_sent": 9, "n_events": 9, "n_retrievals": 9}
    memory = [(5.0 * i, 600.0) for i in range(100)]
    return Soak(**{"settings": Settings(seconds=500), "memory": memory, "lag_s_max": 0.01, **counts, **fields})


def test_a_whole_run_has_no_problem() -> None:
    assert whole_run().problems == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n_samples": 990}, "10 of 1000 samples lost"),
        ({"n_missing": 3}, "3 samples counted as missing"),
        ({"n_events": 8, "n_retrievals": 8}, "1 of 9 events lost"),
        ({"n_retrievals": 8}, "1 events without a verdict"),
        ({"n_retrievals": 7, "n_refusals": 2, "refusals": {"gap": 2}}, "2 events refused"),
        ({"lag_s_max": 1.5}, "1.5 s old"),
        ({"memory": [(5.0 * i, 600 + 0.1 * i) for i in range(100)]}, "memory grows by 72 MB an hour"),
    ],
)
def test_each_problem_is_told(fields: dict[str, Any], words: str) -> None:
    result = whole_run(**fields)
    assert any(words in problem for problem in result.problems), result.problems
    assert result.to_json()["ok"] is False


def test_memory_slope_is_deaf_to_single_jumps() -> None:
    rng = np.random.default_rng(0)
    flat = [(5.0 * i, 600 + rng.normal(scale=0.1) + 50 * (i % 97 == 0)) for i in range(1000)]
    assert abs(memory_slope(flat)) < 1
    growing = [(t, mb + 20 * t / 3600) for t, mb in flat]
    assert memory_slope(growing) == pytest.approx(20, abs=1)
    assert memory_slope(flat[:1]) == 0


def test_filling_buffers_at_the_start_are_no_growth() -> None:
    memory = [(5.0 * i, 600.0 + min(5.0 * i, 60.0)) for i in range(100)]
    assert whole_run(memory=memory).problems == []
