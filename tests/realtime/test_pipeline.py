"""The live chain over real LSL: online equals offline, every event is answered, a sender may go and come back."""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from necomimi.decoder import Decoder
from necomimi.errors import ChannelMismatchError, StreamNotFoundError
from necomimi.gallery import Gallery
from necomimi.lsl import EEGOutlet, MarkerOutlet, local_clock
from necomimi.realtime.answering import Answerer
from necomimi.realtime.outlets import Outlets
from necomimi.realtime.painting import Painter
from necomimi.realtime.pipeline import Pipeline
from necomimi.realtime.source import LSLSource, StreamChoice
from necomimi.records import SourceState, StreamInfo

pytestmark = pytest.mark.lsl

CH_NAMES = ("Oz", "Cz", "Fp1")
SFREQ = 500.0
N = 3000
Start = Callable[..., "Session"]


def signal(n: int = N) -> np.ndarray:
    """Microvolts, in the model's channel order."""
    return np.random.default_rng(7).normal(scale=20, size=(3, n)).astype(np.float32)


class Amplifier:
    """A sender on real liblsl; what it sends lies in the past, so that no test waits for time to pass."""

    def __init__(self, name: str, order: tuple[str, ...] = CH_NAMES, sfreq: float = SFREQ) -> None:
        self.order = order
        self.sfreq = sfreq
        self.eeg = EEGOutlet(
            StreamInfo(
                name=name,
                type="EEG",
                source_id=f"{name}-id",
                uid="",
                ch_names=order,
                sfreq=sfreq,
                units=("microvolts",) * len(order),
            )
        )
        self.t0 = local_clock() - 10.0

    def send(self, microvolts: np.ndarray, start: int = 0, chunk: int = 25) -> None:
        data = microvolts[[CH_NAMES.index(name) for name in self.order]].T
        for i in range(0, len(data), chunk):
            part = data[i : i + chunk]
            self.eeg.push(part, self.t0 + (start + i + len(part) - 1) / self.sfreq)


class Thumbnails:
    """A generator whose pictures are three grey bars, one for each dimension of the labels' space."""

    name, n_dims, size, steps = "thumbnails", 3, 6, 1

    def __init__(self, n_good: int = 10**9) -> None:
        self.space = Gallery.from_labels(["cat", "dog", "owl"]).space
        self.painted: list[np.ndarray] = []
        self.n_good = n_good

    def paint(self, embeddings: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
        if len(self.painted) > self.n_good:  # the first is the warm-up
            raise RuntimeError("it broke")
        self.painted.append(embeddings.copy())
        bars = (128 + 127 * embeddings).astype(np.uint8)
        return np.repeat(bars[:, None, :, None], 2, axis=2).repeat(6, axis=1).repeat(3, axis=3)

    def stages(self, embeddings: np.ndarray, seeds: Sequence[int]) -> Iterator[np.ndarray]:
        yield self.paint(embeddings, seeds)


class Session:
    """A pipeline on an amplifier, with its log."""

    def __init__(
        self,
        tmp_path: Path,
        decoder: Decoder,
        name: str,
        order: tuple[str, ...] = CH_NAMES,
        early: tuple[float, ...] = (),
        every: float | None = None,
        generator: Thumbnails | None = None,
        **answering: Any,
    ) -> None:
        self.name = name
        self.amplifier: Amplifier | None = Amplifier(name, order)
        self.markers = MarkerOutlet(f"{name}-markers", f"{name}-markers-id")
        self.decoder = decoder
        self.states: list[SourceState] = []
        self.source = LSLSource(
            ch_names=CH_NAMES,
            check=lambda info: self.decoder.preprocessor.check_stream(info.sfreq / info.speed, info.applied),
            eeg=StreamChoice(source_id=f"{name}-id"),
            markers=StreamChoice(name=f"{name}-markers") if every is None else None,
            on_state=lambda state, message: self.states.append(state),
        )
        self.log = tmp_path / "decisions.jsonl"
        self.source.open(10.0)
        self.outlets = Outlets("tcp://127.0.0.1:*", self.log, name, log_embeddings=True)
        answerer = Answerer(self.decoder, top_k=3, **answering)
        painter = None if generator is None else Painter(self.decoder, generator.name, lambda name: generator)
        self.pipeline = Pipeline(answerer, self.source, self.outlets, early=early, every=every, painter=painter)
        self.pipeline.start()

    def mark(self, label: str, sample: int) -> None:
        assert self.amplifier is not None
        self.markers.push(label, self.amplifier.t0 + sample / SFREQ)

    def until(self, condition: Callable[[], bool], what: str, fails: bool = False) -> None:
        deadline = time.monotonic() + 15.0
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen; {self.pipeline.status()}"
            assert fails or self.pipeline.failure is None
            threading.Event().wait(0.01)

    def answered(self, n: int) -> None:
        self.until(lambda: self.pipeline.status().n_retrievals + self.pipeline.status().n_refusals >= n, f"{n} answers")

    def finish(self) -> list[dict]:
        status = self.pipeline.stop()
        self.source.close()
        self.outlets.close({"n_events": status.n_events})
        assert status.n_pending == 0
        assert status.n_events == status.n_retrievals + status.n_refusals
        if self.pipeline.painter is not None:
            assert status.n_pictures + status.n_pictures_dropped == status.n_retrievals
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["type"] not in ("run", "summary")]


@pytest.fixture
def start(tmp_path: Path, make_decoder: Callable[[], Decoder]) -> Start:
    """Return the function that starts a session of a name, with a small decoder."""
    return functools.partial(Session, tmp_path, make_decoder())


def offline(decoder: Decoder, microvolts: np.ndarray, sample: int, sfreq: float = SFREQ) -> np.ndarray:
    tmin, n_in = decoder.preprocessor.window(sfreq)
    start = sample + round(tmin * sfreq)
    volts = microvolts[:, start : start + n_in].astype(np.float64) * 1e-6
    return decoder.embed(decoder.preprocessor(volts[None], sfreq))[0]


def test_online_equals_offline(start: Start) -> None:
    session = start("parity", order=("Fp1", "Oz", "Cz"))
    data = signal()
    samples = {"cat": 60, "dog": 400, "unknown": 405, "owl": 2000}
    for label, sample in samples.items():
        session.mark(label, sample)
    session.mark("replay/loop", 500)  # about the stream: no event
    session.mark("present/catch", 700)
    session.mark("", 900)  # a trigger line that went back
    session.amplifier.send(data)  # type: ignore[union-attr]
    session.answered(4)
    decisions = session.finish()
    assert {d["label"] for d in decisions} == set(samples)
    for decision in decisions:
        expected = offline(session.decoder, data, samples[decision["label"]])
        got = np.array(decision["embedding"])
        assert np.linalg.norm(got - expected) < 1e-4 * np.linalg.norm(expected)
        labels, scores = session.decoder.retrieve(expected[None], 3)
        assert tuple(decision["labels"]) == labels[0]
        np.testing.assert_allclose(decision["scores"], scores[0], atol=1e-4)
        assert sum(decision["scores"]) == pytest.approx(1.0, abs=1e-4)
        assert decision["latency_ms"]["total"] > 0


def test_events_without_data_are_refused_not_lost(start: Start) -> None:
    session = start("edges")
    session.mark("before", -5)
    session.mark("cat", 500)
    session.mark("hole", 1000)
    session.mark("never", 2990)
    data = signal()
    session.amplifier.send(data[:, :1100])  # type: ignore[union-attr]
    session.amplifier.send(data[:, 1160:], start=1160)  # type: ignore[union-attr]
    session.answered(3)
    decisions = {d["label"]: d for d in session.finish()}
    assert {label: d.get("reason", "retrieval") for label, d in decisions.items()} == {
        "before": "incomplete", "cat": "retrieval", "hole": "gap", "never": "incomplete",
    }  # fmt: skip
    assert "60 samples are missing" in decisions["hole"]["detail"]


def test_a_sender_that_comes_back_with_other_channels_is_matched_again(start: Start) -> None:
    session = start("comeback")
    data = signal()
    session.amplifier.send(data[:, :1000])  # type: ignore[union-attr]
    session.mark("cat", 300)
    session.mark("across", 900)
    session.answered(1)
    t0 = session.amplifier.t0  # type: ignore[union-attr]
    session.amplifier = None  # the sender dies
    session.until(lambda: "LOST" in session.states, "the loss is noticed")
    session.amplifier = Amplifier("comeback", order=("Cz", "Fp1", "Oz"))
    session.amplifier.t0 = t0
    session.until(lambda: session.states[-1] == "LIVE", "the stream is live again")
    session.mark("owl", 1500)
    session.amplifier.send(data[:, 1000:], start=1000)
    session.answered(3)
    decisions = {d["label"]: d for d in session.finish()}
    assert decisions["across"]["reason"] == "reconnect"
    for label, sample in (("cat", 300), ("owl", 1500)):
        expected = offline(session.decoder, data, sample)
        assert np.linalg.norm(np.array(decisions[label]["embedding"]) - expected) < 1e-4


def test_a_sender_that_comes_back_at_another_rate_is_decoded_at_that_rate(start: Start) -> None:
    session = start("faster")
    slow, fast = signal(1000), signal(4000)
    session.amplifier.send(slow)  # type: ignore[union-attr]
    session.mark("cat", 300)
    session.mark("waiting", 900)
    session.answered(1)
    t0 = session.amplifier.t0  # type: ignore[union-attr]
    session.amplifier = None
    session.until(lambda: "LOST" in session.states, "the loss is noticed")
    session.amplifier = Amplifier("faster", sfreq=1000.0)
    session.amplifier.t0 = t0 + 3.0
    session.until(lambda: session.states[-1] == "LIVE", "the stream is live again")
    session.markers.push("owl", session.amplifier.t0 + 1500 / 1000.0)
    session.amplifier.send(fast, chunk=50)
    session.answered(3)
    decisions = {d["label"]: d for d in session.finish()}
    assert decisions["waiting"]["reason"] == "reconnect"
    assert np.linalg.norm(np.array(decisions["cat"]["embedding"]) - offline(session.decoder, slow, 300)) < 1e-4
    expected = offline(session.decoder, fast, 1500, 1000.0)
    assert np.linalg.norm(np.array(decisions["owl"]["embedding"]) - expected) < 1e-4


def test_a_sender_that_comes_back_without_a_channel_is_not_decoded(start: Start) -> None:
    session = start("halved")
    session.amplifier.send(signal()[:, :500])  # type: ignore[union-attr]
    session.amplifier = None
    session.until(lambda: "LOST" in session.states, "the loss is noticed")
    session.amplifier = Amplifier("halved", order=("Cz", "Fp1"))
    session.until(lambda: "lacks 1 of 3 channels: Oz" in session.source.message, "the reason is told")
    session.mark("cat", 300)
    session.until(lambda: session.pipeline.status().n_events == 1, "the marker arrives")
    session.finish()


def test_a_person_the_decoder_does_not_know_is_refused_before_any_stream_is_sought(
    tmp_path: Path, make_decoder: Callable[[], Decoder], refused: Callable[..., str]
) -> None:
    decoder = make_decoder()
    decoder.subjects = {"sub-01": decoder.preprocessor.spatial}
    decoder.save(tmp_path / "decoder")
    said = refused("decode", tmp_path / "decoder", "--subject", "sub-02")
    assert "subject 'sub-02'" in said
    assert "one of sub-01" in said


def test_streams_that_do_not_serve_are_refused_in_words() -> None:
    def open_source(**choice: str) -> None:
        source = LSLSource(
            ch_names=CH_NAMES,
            check=lambda info: None,
            eeg=StreamChoice(**choice),
            markers=StreamChoice(name="wrong-markers"),
        )
        try:
            source.open(2.0)
        finally:
            source.close()

    with pytest.raises(StreamNotFoundError, match="'absent'"):
        open_source(name="absent")
    amplifier = Amplifier("twin")
    twin = Amplifier("twin")
    with pytest.raises(StreamNotFoundError, match="2 LSL streams match"):
        open_source(name="twin")
    del amplifier, twin
    wrong, markers = Amplifier("wrong", order=("Cz",)), MarkerOutlet("wrong-markers", "wrong-markers-id")
    with pytest.raises(ChannelMismatchError, match="Oz, Fp1"):
        open_source(name="wrong")
    del wrong, markers


@pytest.mark.parametrize("thread", ["acquisition", "decode"])
def test_a_thread_that_fails_leaves_no_event_without_a_verdict(start: Start, thread: str) -> None:
    session = start(f"failing-{thread}")
    session.mark("cat", 100)
    session.mark("never", 2990)

    def fail(*_: object) -> Any:
        raise RuntimeError(f"the {thread} broke")

    if thread == "decode":
        session.pipeline.answerer = fail  # type: ignore[assignment]
    session.amplifier.send(signal()[:, :1000])  # type: ignore[union-attr]
    if thread == "acquisition":
        session.answered(1)
        session.source.pull = fail  # type: ignore[method-assign]
    session.until(lambda: not session.pipeline.is_running, "the end", fails=True)
    threads = session.pipeline._threads
    for one in threads:
        one.join(5.0)
    assert not any(one.is_alive() for one in threads)
    verdicts = {line["label"]: line for line in session.finish()}
    assert str(session.pipeline.failure) == f"the {thread} broke"
    assert verdicts["never"]["type"] == "refusal"
    assert verdicts["cat"]["type"] == ("retrieval" if thread == "acquisition" else "refusal")


def test_one_batch_for_epochs_that_wait(start: Start) -> None:
    """Twenty overlapping events at once: one batch gives what single decoding gives."""
    session = start("overload")
    data = signal()
    samples = list(range(100, 2500, 120))
    for sample in samples:
        session.mark(str(sample), sample)
    session.amplifier.send(data, chunk=3000)  # type: ignore[union-attr]
    session.answered(len(samples))
    for decision in session.finish():
        expected = offline(session.decoder, data, int(decision["label"]))
        assert np.linalg.norm(np.array(decision["embedding"]) - expected) < 1e-4


def test_provisional_answers_come_first_and_are_not_counted(start: Start) -> None:
    session = start("early", early=(0.2, 0.4))
    data = signal()
    session.mark("cat", 1000)
    session.amplifier.send(data[:, :1110])  # type: ignore[union-attr]
    session.until(lambda: '"provisional"' in session.log.read_text(), "the answer after 0.2 s")
    session.amplifier.send(data[:, 1110:], start=1110)  # type: ignore[union-attr]
    session.answered(1)
    status = session.pipeline.status()
    assert (status.n_events, status.n_retrievals, status.n_refusals) == (1, 1, 0)
    *provisional, final = session.finish()
    assert [d["type"] for d in provisional] == ["provisional"] * len(provisional)
    assert provisional[0]["until"] == 0.2
    assert final["type"] == "retrieval"
    assert np.linalg.norm(np.array(final["embedding"]) - offline(session.decoder, data, 1000)) < 1e-4
    tmin, n_in = session.decoder.preprocessor.window(SFREQ, (), 0.2)
    first = 1000 + round(tmin * SFREQ)
    expected = session.decoder.embed_raw(data[None, :, first : first + n_in] * np.float32(1e-6), SFREQ, (), 0.2)
    labels, scores = session.decoder.retrieve(expected, 3, 0.2)
    assert tuple(provisional[0]["labels"]) == labels[0]
    np.testing.assert_allclose(provisional[0]["scores"], scores[0], atol=1e-4)


def test_presentations_of_one_stimulus_are_averaged(start: Start) -> None:
    session = start("repeats", average=3, sure=0.34)
    data = signal()
    samples = {"cat": [200, 500, 800, 1100], "dog": [350, 950]}
    order = sorted((sample, label) for label, several in samples.items() for sample in several)
    for sample, label in order:
        session.mark(label, sample)
    session.amplifier.send(data)  # type: ignore[union-attr]
    session.answered(len(order))
    decisions = session.finish()
    seen: dict[str, list[np.ndarray]] = {"cat": [], "dog": []}
    for (sample, label), decision in zip(order, decisions, strict=True):
        seen[label] = [*seen[label], offline(session.decoder, data, sample)][-3:]
        labels, scores = session.decoder.retrieve_averaged(np.stack(seen[label]), 3)
        assert decision["label"] == label
        assert decision["n_averaged"] == len(seen[label])
        assert tuple(decision["labels"]) == labels
        np.testing.assert_allclose(decision["scores"], scores, atol=1e-4)
        assert decision.get("sure", False) == (decision["scores"][0] >= 0.34)


def test_final_answers_are_painted_from_the_mean_of_their_presentations(start: Start) -> None:
    generator = Thumbnails()
    session = start("painted", early=(0.2,), average=2, generator=generator)
    data, samples = signal(), [200, 800, 1400]
    for n, (sample, end) in enumerate(zip(samples, (800, 1400, 2000), strict=True), start=1):
        session.mark("cat", sample)
        session.amplifier.send(data[:, end - 600 if n > 1 else 0 : end], start=end - 600 if n > 1 else 0)  # type: ignore[union-attr]
        session.until(lambda n=n: session.pipeline.status().n_pictures == n, "the picture")  # type: ignore[misc]
    latencies = session.pipeline.status().latency_ms
    lines = session.finish()
    pictures = [line for line in lines if line["type"] == "picture"]
    retrievals = [line for line in lines if line["type"] == "retrieval"]
    assert [line["type"] for line in lines if line["type"] != "provisional"] == 3 * ["retrieval", "picture"]
    assert [(line["code"], line["n_averaged"]) for line in pictures] == [(0, 1), (1, 2), (2, 2)]
    assert all(
        line["latency_ms"]["total"] > r["latency_ms"]["total"] for line, r in zip(pictures, retrievals, strict=True)
    )
    assert {"picture", "total"} <= set(latencies)
    vectors = [offline(session.decoder, data, sample) for sample in samples]
    for painted, behind in zip(generator.painted[1:], (vectors[:1], vectors[:2], vectors[1:]), strict=True):
        mean = np.mean(behind, axis=0)
        np.testing.assert_allclose(painted[0], mean / np.linalg.norm(mean), atol=1e-4)


def test_a_generator_that_breaks_costs_no_decision(start: Start) -> None:
    session = start("broken", generator=Thumbnails(n_good=0))
    session.mark("cat", 60)
    session.amplifier.send(signal()[:, :1000])  # type: ignore[union-attr]
    session.until(lambda: "it broke" in "".join(session.pipeline.status().warnings), "the warning")
    session.mark("dog", 900)
    session.mark("owl", 1500)
    session.amplifier.send(signal()[:, 1000:], start=1000)  # type: ignore[union-attr]
    session.answered(3)
    decisions = session.finish()
    assert [(d["type"], d["label"]) for d in decisions] == [("retrieval", name) for name in ("cat", "dog", "owl")]


def test_sliding_windows_need_no_markers(start: Start) -> None:
    session = start("slide", every=0.5)
    data = signal()
    session.amplifier.send(data, chunk=10)  # type: ignore[union-attr]
    # Windows of 0.7 s in 6 s of signal, one every 0.5 s. All came at once, so some may have been left out.
    session.until(lambda: session.pipeline.status().n_samples == N, "all samples")
    decisions = session.finish()
    assert decisions
    for decision in decisions:
        assert decision["type"] == "retrieval"
        assert decision["label"] == ""
        sample = round((decision["onset"] - session.amplifier.t0) * SFREQ)  # type: ignore[union-attr]
        assert np.linalg.norm(np.array(decision["embedding"]) - offline(session.decoder, data, sample)) < 1e-4
    gaps = np.diff([decision["onset"] for decision in decisions]) / 0.5
    np.testing.assert_allclose(gaps, np.round(gaps), atol=0.02)


def test_a_unit_that_cannot_be_right_is_told(start: Start) -> None:
    session = start("volts")
    session.amplifier.send(1e6 * signal()[:, :1000])  # type: ignore[union-attr]
    session.until(lambda: any("no EEG" in w for w in session.pipeline.status().warnings), "the warning")
    session.finish()


def test_old_samples_raise_the_alarm(start: Start) -> None:
    session = start("lag")
    session.amplifier.send(signal()[:, :500])  # type: ignore[union-attr]
    session.until(lambda: any("lag" in w for w in session.pipeline.status().warnings), "the alarm")
    session.amplifier.t0 = local_clock() - 700 / SFREQ  # type: ignore[union-attr]
    session.amplifier.send(signal()[:, 500:700], start=500)  # type: ignore[union-attr]
    session.until(lambda: not session.pipeline.status().warnings, "the end of the alarm")
    session.finish()
