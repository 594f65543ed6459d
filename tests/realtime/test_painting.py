"""The painter never costs a decision: newest wins, everything is counted, and faults cost pictures alone."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from necomimi.decoder import Decoder
from necomimi.diffusion_choices import CHOICES, CLIP_SPACE
from necomimi.embedded_generator import GeneratorWeights
from necomimi.embedders import EMBEDDED_SPACE
from necomimi.encoders import build
from necomimi.errors import CheckpointError, ConfigError, DeviceMemoryError
from necomimi.feed import Subscriber
from necomimi.gallery import Gallery
from necomimi.generators import Generator, StageChoice, build_generator
from necomimi.lsl import local_clock
from necomimi.picture_networks import PictureDecoder, PictureRefiner
from necomimi.preprocessing import Preprocessor
from necomimi.prior import Prior
from necomimi.realtime.decode import command
from necomimi.realtime.outlets import Outlets
from necomimi.realtime.painting import Painter, PaintRequest, load_painter
from necomimi.records import Event, GeneratedImage

N_DIMS, SIZE = 6, 4
SPACE = "test:six"
DEADLINE_S = 60.0


class Linear:
    """A generator whose pictures are linear in the embedding: blocks of half the size first, single pixels last."""

    name, space, n_dims, size, steps = "linear", SPACE, N_DIMS, SIZE, 2

    def __init__(self, before: Callable[[np.ndarray, int], object] = lambda embeddings, stage: None) -> None:
        self.before = before
        self.weights = np.random.default_rng(0).normal(size=(N_DIMS, SIZE, SIZE, 3))

    def paint(self, embeddings: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
        *_, last = self.stages(embeddings, seeds)
        return last

    def stages(self, embeddings: np.ndarray, seeds: Sequence[int]) -> Iterator[np.ndarray]:
        assert np.isfinite(embeddings).all()
        assert len(embeddings) == len(seeds)
        pictures = np.tensordot(embeddings, self.weights, 1)
        self.before(embeddings, 0)
        yield self._pixels(pictures[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2))
        self.before(embeddings, 1)
        yield self._pixels(pictures)

    @staticmethod
    def _pixels(pictures: np.ndarray) -> np.ndarray:
        return np.clip(128 + 60 * pictures, 0, 255).astype(np.uint8)


def make_decoder(
    space: str = SPACE, n_dims: int = N_DIMS, *, prior: bool = False, clip_norm: float | None = None
) -> Decoder:
    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(3, n_dims)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    gallery = Gallery(labels=("cat", "dog", "owl"), files=("",) * 3, embeddings=embeddings, space=space)
    config: dict[str, Any] = {"name": "multiblur", "n_chans": 2, "n_times": 50, "n_outputs": n_dims}
    preprocessor = Preprocessor(
        ch_names=("Oz", "Cz"), sfreq=250.0, tmin=0.0, tmax=0.2, baseline=None, start=0.0, n_times=50,
        spatial=np.eye(2, dtype=np.float32),
    )  # fmt: skip
    second = None
    if prior:
        second = Prior("regression", n_dims, source_space=space, space=space)
        second.image_mean.copy_(torch.linspace(-1, 1, n_dims))
    return Decoder(
        encoder_config=config, encoder=build(**config), preprocessor=preprocessor, space=space, logit_scale=5.0,
        gallery=gallery, prior=second, clip_norm=clip_norm,
    )  # fmt: skip


def unit(seed: int, n_dims: int = N_DIMS) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=n_dims).astype(np.float32)
    return vector / np.linalg.norm(vector)


def request(code: int, vector: np.ndarray | None = None, n_averaged: int = 1) -> PaintRequest:
    now = local_clock()
    event = Event(onset=now - 1.0, label=f"event {code}", code=code)
    return PaintRequest(event, unit(code) if vector is None else vector, n_averaged, now - 0.01, now)


def until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {DEADLINE_S:g} s: {what}"
        threading.Event().wait(0.005)
    return value


def is_done(painter: Painter, n: int) -> Callable[[], bool]:
    return lambda: painter.n_pictures + painter.n_dropped >= n


@pytest.fixture
def shown() -> list[GeneratedImage]:
    return []


# What is painted


def test_a_preview_and_the_picture_of_each_decision(shown: list[GeneratedImage]) -> None:
    painter, generator = Painter(make_decoder(), "linear", lambda name: Linear()), Linear()
    painter.start(shown.append)
    for code in range(3):
        painter.submit(request(code, n_averaged=code + 1))
        until(is_done(painter, code + 1), "a picture")
    painter.stop()
    assert (painter.n_pictures, painter.n_dropped, painter.warning) == (3, 0, "")
    assert [(p.event.code, p.preview, p.n_averaged) for p in shown] == [
        (code, preview, code + 1) for code in range(3) for preview in (True, False)
    ]
    for coarse, fine in zip(shown[::2], shown[1::2], strict=True):
        assert (fine.stage, fine.generator) == ("one-stage", "linear")
        expected = list(generator.stages(unit(fine.event.code)[None], [fine.seed]))
        np.testing.assert_array_equal(coarse.pixels, expected[0][0])
        np.testing.assert_array_equal(fine.pixels, expected[1][0])
        for picture in (coarse, fine):
            ms = picture.latency_ms
            assert 0 <= ms["wait"] <= ms["wait"] + ms["paint"] <= ms["after_retrieval"]
            assert ms["total"] == pytest.approx(ms["after_retrieval"] + 10, abs=1e-6)
    latencies = painter.latency.percentiles()
    assert set(latencies) == {"preview", "picture"}
    assert latencies["picture"]["max"] == round(max(p.latency_ms["after_retrieval"] for p in shown if not p.preview), 3)


@pytest.mark.parametrize(
    ("stage", "prior", "expected"),
    [
        (None, False, ["one-stage"]),
        (None, True, ["two-stage"]),
        ("one", True, ["one-stage"]),
        ("two", True, ["two-stage"]),
        ("both", True, ["one-stage", "two-stage"]),
    ],
)
def test_stages_are_painted_as_one_batch(
    stage: Any, prior: bool, expected: list[str], shown: list[GeneratedImage]
) -> None:
    decoder = make_decoder(prior=prior)
    batches: list[np.ndarray] = []

    def keep(embeddings: np.ndarray, now: int) -> None:
        batches.append(embeddings)

    painter = Painter(decoder, "linear", lambda name: Linear(keep), stage)
    painter.start(shown.append)
    painter.submit(request(7))
    until(is_done(painter, 1), "a picture")
    painter.stop()
    vectors = {"one-stage": unit(7)[None]}
    if prior:
        vectors["two-stage"] = decoder.to_image_space(unit(7)[None], [0])
        assert np.abs(vectors["two-stage"] - vectors["one-stage"]).max() > 0.1
    np.testing.assert_array_equal(batches[-1], np.concatenate([vectors[name] for name in expected]))
    assert [picture.stage for picture in shown] == 2 * expected
    for picture in shown[len(expected) :]:
        np.testing.assert_array_equal(picture.pixels, Linear().paint(vectors[picture.stage], [0])[0])


@pytest.mark.lsl
def test_pictures_leave_by_the_feed_and_as_lines_of_the_log(tmp_path: Path) -> None:
    outlets = Outlets("tcp://127.0.0.1:*", tmp_path / "log.jsonl", "painted")
    subscriber = Subscriber(outlets.address, (GeneratedImage,))
    painter = Painter(make_decoder(), "linear", lambda name: Linear())
    painter.start(outlets.show)
    received: list[GeneratedImage] = []
    n_asked = 0

    def hears() -> bool:
        nonlocal n_asked
        painter.submit(request(n_asked))
        n_asked += 1
        received.extend(filter(None, [subscriber.receive(0.05)]))
        return bool(received)

    until(hears, "the feed")
    painter.stop()
    outlets.close({})
    subscriber.close()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    pictures = [line for line in lines if line["type"] == "picture"]
    assert painter.n_pictures + painter.n_dropped == n_asked
    assert sum(not line["preview"] for line in pictures) == painter.n_pictures
    first = received[0]
    (line,) = (x for x in pictures if (x["code"], x["preview"]) == (first.event.code, first.preview))
    assert line == {
        "type": "picture", "code": first.event.code, "onset": first.event.onset, "label": first.event.label,
        "stage": "one-stage", "generator": "linear", "preview": first.preview, "seed": 0, "size": SIZE, "n_averaged": 1,
        "latency_ms": {step: round(ms, 3) for step, ms in first.latency_ms.items()},
    }  # fmt: skip


# What is left out


def test_the_newest_waits_and_all_else_is_counted(shown: list[GeneratedImage]) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold(embeddings: np.ndarray, stage: int) -> None:
        if np.array_equal(embeddings[0], unit(0)):
            assert stage == 0, "the finer picture is left out where a newer request waits"
            begun.set()
            assert go_on.wait(DEADLINE_S)

    painter = Painter(make_decoder(), "linear", lambda name: Linear(hold))
    painter.start(shown.append)
    painter.submit(request(0))
    assert begun.wait(DEADLINE_S)
    started = time.perf_counter()
    for code in (1, 2, 3):
        painter.submit(request(code))
    assert time.perf_counter() - started < 1.0  # nobody waits for the painter
    assert painter.n_dropped == 2
    go_on.set()
    until(is_done(painter, 4), "the newest picture")
    painter.stop()
    assert [(picture.event.code, picture.preview) for picture in shown] == [(0, True), (3, True), (3, False)]
    assert (painter.n_pictures, painter.n_dropped) == (1, 3)


def test_stopping_counts_what_is_not_painted_to_the_end(shown: list[GeneratedImage]) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold(embeddings: np.ndarray, stage: int) -> None:
        if np.array_equal(embeddings[0], unit(0)):
            begun.set()
            assert go_on.wait(DEADLINE_S)

    painter = Painter(make_decoder(), "linear", lambda name: Linear(hold))
    painter.start(shown.append)
    painter.submit(request(0))
    assert begun.wait(DEADLINE_S)
    painter.submit(request(1))
    stopper = threading.Thread(target=painter.stop)
    stopper.start()
    until(is_done(painter, 1), "the waiting request is counted")
    painter.submit(request(2))
    go_on.set()
    stopper.join(DEADLINE_S)
    assert (painter.n_pictures, painter.n_dropped, shown) == (0, 3, [])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_never_reaches_the_generator(
    bad: float, shown: list[GeneratedImage], caplog: pytest.LogCaptureFixture
) -> None:
    painter = Painter(make_decoder(), "linear", lambda name: Linear())  # which asserts that all is finite
    painter.start(shown.append)
    broken = unit(0)
    broken[2] = bad
    painter.submit(request(0, broken))
    until(is_done(painter, 1), "the refusal")
    painter.submit(request(1))
    until(is_done(painter, 2), "the next picture")
    painter.stop()
    assert (painter.n_pictures, painter.n_dropped, painter.warning) == (1, 1, "")
    assert {picture.event.code for picture in shown} == {1}
    (told,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert told == "event 0 is not painted: its embedding of test:six is not finite, and linear takes none such"


# What a generator may do


@pytest.mark.parametrize("stage", [0, 1])
def test_a_fault_of_the_generator_ends_pictures_with_a_warning(stage: int, shown: list[GeneratedImage]) -> None:
    def fail(embeddings: np.ndarray, now: int) -> None:
        if np.array_equal(embeddings[0], unit(1)) and now == stage:
            raise RuntimeError("cuDNN error:\n  something broke")

    painter = Painter(make_decoder(), "linear", lambda name: Linear(fail))
    painter.start(shown.append)
    for code in range(3):
        painter.submit(request(code))
        until(is_done(painter, code + 1), "an account of the request")
    painter.stop()
    assert (painter.n_pictures, painter.n_dropped) == (1, 2)
    assert [picture.event.code for picture in shown] == [0, 0] + [1] * stage
    assert painter.warning == (
        "pictures: linear failed, so there are no more pictures: RuntimeError: cuDNN error: something broke"
    )


def test_too_little_memory_takes_the_next_smaller_generator_then_none(shown: list[GeneratedImage]) -> None:
    """At load sdxl-turbo does not fit, while painting sd15 does not; both names are those of the real choices."""
    asked: list[str] = []

    def too_large(embeddings: np.ndarray, stage: int) -> None:
        if np.array_equal(embeddings[0], unit(1)):
            raise torch.OutOfMemoryError("CUDA out of memory")

    def built(name: str) -> Generator:
        asked.append(name)
        if name == "sdxl-turbo":
            raise DeviceMemoryError("cuda has too little memory for the generator sdxl-turbo", "8 GB", "close others")
        return Linear(too_large)

    painter = Painter(make_decoder(), "sdxl-turbo", built)
    assert painter.warning == "pictures: cuda has too little memory for the generator sdxl-turbo; so sd15 paints"
    painter.start(shown.append)
    for code in range(3):
        painter.submit(request(code))
        until(is_done(painter, code + 1), "an account of the request")
    painter.stop()
    assert asked == ["sdxl-turbo", "sd15"]
    assert painter.warning == "pictures: OutOfMemoryError: CUDA out of memory; so there are no pictures"
    assert (painter.n_pictures, painter.n_dropped) == (1, 2)


def test_a_smaller_generator_without_weights_is_no_pictures_and_no_end(shown: list[GeneratedImage]) -> None:
    def built(name: str) -> Generator:
        if name == "sdxl-turbo":
            raise torch.OutOfMemoryError("CUDA out of memory")
        raise CheckpointError("no weights of sd15")

    painter = Painter(make_decoder(), "sdxl-turbo", built)
    painter.start(shown.append)
    painter.submit(request(0))
    until(is_done(painter, 1), "an account of the request")
    painter.stop()
    assert painter.warning == (
        "pictures: OutOfMemoryError: CUDA out of memory; no weights of sd15; so there are no pictures"
    )
    assert (painter.n_pictures, painter.n_dropped, shown) == (0, 1, [])


# What is refused at the start


def test_another_space_is_refused_with_both_names() -> None:
    with pytest.raises(ConfigError, match="test:other") as caught:
        Painter(make_decoder("test:other"), "linear", lambda name: Linear())
    assert SPACE in caught.value.expected
    apart = make_decoder(prior=True)
    assert apart.prior is not None
    apart.prior.space = "test:pictures"
    Painter(apart, "linear", lambda name: Linear(), "one")
    with pytest.raises(ConfigError, match="test:pictures"):
        Painter(apart, "linear", lambda name: Linear(), "both")
    with pytest.raises(ConfigError, match="test:six") as caught:  # before it is looked for, loaded or fetched
        load_painter(make_decoder(), "sdxl-turbo", "cpu")
    assert CLIP_SPACE in caught.value.expected


def test_two_stages_need_a_prior() -> None:
    stages: tuple[StageChoice, ...] = ("two", "both")
    for stage in stages:
        with pytest.raises(ConfigError, match=f"--stage {stage}") as caught:
            Painter(make_decoder(), "linear", lambda name: Linear(), stage)
        assert "necomimi train prior" in caught.value.remedy
    with pytest.raises(ConfigError, match="'imagen'"):
        load_painter(make_decoder(), "imagen")


def test_missing_weights_name_what_fetches_them_and_what_works_meanwhile(tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'necomimi[diffusion]'")
    make_decoder(CLIP_SPACE, 1024).save(tmp_path / "decoder")
    with pytest.raises(CheckpointError, match="sdxl-turbo") as caught:
        command(tmp_path / "decoder", device="cpu", generator="sdxl-turbo", generator_model=str(tmp_path))
    assert "necomimi download sdxl-turbo FOLDER" in caught.value.remedy
    assert caught.value.remedy.endswith("(--generator none; or embedded, with a decoder of its space)")
    with pytest.raises(ConfigError, match="--model, --stage or --steps without a generator"):
        command(tmp_path / "decoder", device="cpu", stage="one")


# Real generators on tiny weights


def test_the_embedded_generator_gives_a_preview_of_each_stage(tmp_path: Path, shown: list[GeneratedImage]) -> None:
    torch.manual_seed(0)
    networks = PictureDecoder(256, 4, 16, (8, 8)), PictureRefiner(256, (8, 8))
    weights = GeneratorWeights(space=EMBEDDED_SPACE, size=16, decoder=networks[0], refiner=networks[1], steps=2)
    weights.save(tmp_path / "generator")
    decoder = make_decoder(EMBEDDED_SPACE, 256, prior=True)
    painter = load_painter(decoder, "embedded", "cpu", model=str(tmp_path / "generator"), stage="both")
    painter.start(shown.append)
    painter.submit(request(3, unit(3, 256)))
    until(is_done(painter, 1), "a picture")
    painter.stop()
    kinds = [(picture.stage, picture.preview) for picture in shown]
    assert kinds == [("one-stage", True), ("two-stage", True), ("one-stage", False), ("two-stage", False)]
    vectors = np.concatenate([unit(3, 256)[None], decoder.to_image_space(unit(3, 256)[None], [0])])
    expected = build_generator("embedded", "cpu", model=str(tmp_path / "generator")).paint(vectors, [0, 0])
    np.testing.assert_array_equal([picture.pixels for picture in shown[2:]], expected)


def test_a_diffusion_generator_gets_its_norm_and_its_smaller_sister(
    tiny_diffusion: ModuleType, tmp_path: Path, shown: list[GeneratedImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, steps in (("sdxl-turbo", 3), ("sd15", 2)):
        monkeypatch.setitem(CHOICES, name, replace(CHOICES[name], size=64))
        tiny_diffusion.write(tiny_diffusion.tiny(name), steps, tmp_path)
    painter = load_painter(
        make_decoder(CLIP_SPACE, 1024, clip_norm=31.5), "sdxl-turbo", "cpu", model=str(tmp_path), steps=3
    )
    first: Any = painter._generator
    assert (first.name, first.steps, first._clip_norm) == ("sdxl-turbo", 3, 31.5)

    def too_large(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    first._vae.decoder.register_forward_pre_hook(too_large)
    del first
    painter.start(shown.append)
    until(lambda: painter.warning, "the smaller generator")
    painter.submit(request(0, unit(0, 1024)))
    until(is_done(painter, 1), "a picture")
    second: Any = painter._generator
    painter.stop()
    assert painter.warning == (
        "pictures: cpu has too little memory for the generator sdxl-turbo at 64 pixels; so sd15 paints"
    )
    assert (second.name, second.steps, second._clip_norm) == ("sd15", 2, 31.5)
    (picture,) = shown
    assert (picture.generator, picture.preview, picture.pixels.shape) == ("sd15", False, (64, 64, 3))
    assert set(painter.latency.percentiles()) == {"picture"}
