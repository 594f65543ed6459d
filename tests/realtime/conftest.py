"""Start senders as processes of their own, which can be killed, frozen and thawed; make a small decoder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from necomimi.decoder import Decoder
from necomimi.encoders import build
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor


class Child:
    """A `sender.py` in another process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("sender.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, do: str, **arguments: Any) -> dict[str, float]:
        """Give a command, wait until it is done, and return the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the sender died of {do!r}"
        return json.loads(answer)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture(scope="session")
def signal_of() -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that says what samples of given numbers hold: shape (n,) -> (3, n)."""
    from . import sender

    return lambda numbers: sender.signal(numbers).T


@pytest.fixture
def spawn() -> Iterator[Callable[[], Child]]:
    """Return a function that starts a sender; all of them end with the test."""
    children: list[Child] = []

    def start() -> Child:
        children.append(Child())
        return children[-1]

    yield start
    for child in children:
        child.close()


@pytest.fixture
def make_decoder() -> Callable[[], Decoder]:
    """Return the function that makes a decoder of the channels Oz, Cz, Fp1 and the labels cat, dog, owl."""

    def make() -> Decoder:
        torch.manual_seed(0)
        gallery = Gallery.from_labels(["cat", "dog", "owl"])
        config = {"name": "multiblur", "n_chans": 3, "n_times": 150, "n_outputs": gallery.n_dims}
        rng = np.random.default_rng(0)
        preprocessor = Preprocessor(
            ch_names=("Oz", "Cz", "Fp1"), sfreq=250.0, tmin=-0.1, tmax=0.6, baseline=(-0.1, 0.0), start=0.0,
            n_times=150, spatial=(rng.normal(size=(3, 3)) * 1e5).astype(np.float32),
        )  # fmt: skip
        return Decoder(
            encoder_config=config, encoder=build(**config), preprocessor=preprocessor, space=gallery.space,
            logit_scale=5.0, gallery=gallery,
        )  # fmt: skip

    return make
