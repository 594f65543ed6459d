"""`necomimi import-weights` makes a decoder that evaluates, and refuses in words what is not plain weights."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from necomimi.decoder import Decoder
from necomimi.encoders import build
from necomimi.epochs import EpochsWriter, Trial
from necomimi.errors import ChannelMismatchError
from necomimi.gallery import Gallery
from necomimi.offline.import_weights import PUBLISHED_SPACE, published_preprocessor
from necomimi.preprocessing import Preprocessor

APPLIED = ("baseline", "resample", "whiten")
SMALL = Preprocessor(
    ch_names=("A", "B", "C"), sfreq=100.0, tmin=-0.1, tmax=1.0, baseline=(-0.1, 0.0), start=0.0, n_times=100,
    spatial=2 * np.eye(3, dtype=np.float32),
)  # fmt: skip
FILES = tuple(f"{c:05d}_c{c}/c{c}.jpg" for c in range(6))
LABELS = tuple(f"c{c}" for c in range(6))


def make(name: str = "nice", n_chans: int = 63, n_times: int = 250, n_outputs: int = 1024) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(name, n_chans=n_chans, n_times=n_times, n_outputs=n_outputs).eval()


def make_gallery(vectors: np.ndarray, space: str) -> Gallery:
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Gallery(labels=LABELS, files=FILES, embeddings=vectors, space=space)


def write_epochs(path: Path, preprocessor: Preprocessor) -> np.ndarray:
    shape = (len(FILES), len(preprocessor.ch_names), preprocessor.n_times)
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    test = [Trial(label=label, picture=file) for label, file in zip(LABELS, FILES, strict=True)]
    train = [Trial(label=f"another {trial.label}", picture=f"training/{trial.picture}") for trial in test]
    with EpochsWriter(path) as writer:
        for split, trials in (("train", train), ("test", test)):
            writer.create(split, trials, *shape[1:])[:] = data
        writer.finish(preprocessor, "a test")
    return data


def test_imported_decoder_evaluates(here: Any, tmp_path: Path) -> None:
    encoder = make("atms")
    data = write_epochs(tmp_path / "epochs", published_preprocessor())
    with torch.no_grad():
        vectors = encoder(torch.from_numpy(data)).numpy()
    make_gallery(vectors, "random:1024").save(tmp_path / "gallery")
    torch.save(encoder.state_dict(), tmp_path / "weights.pth")
    done = here(
        "import-weights",
        tmp_path / "weights.pth",
        tmp_path / "d",
        "--encoder",
        "atms",
        "--gallery",
        tmp_path / "gallery",
    )
    assert done.returncode == 0, done.stderr
    assert "63 channels x 250 samples -> 1024 dimensions of random:1024" in done.stderr
    judged = here("evaluate", tmp_path / "d", tmp_path / "epochs", "--json", "--device", "cpu")
    assert judged.returncode == 0, judged.stderr
    result = json.loads(judged.stdout)
    assert result["rows"][0]["top1"] == 1.0  # each epoch finds its own embedding
    decoder = Decoder.load(tmp_path / "d")
    found = decoder.embed(data)
    np.testing.assert_allclose(found, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(decoder.embed_raw(data, 250.0, APPLIED), found, atol=1e-6)
    assert decoder.logit_scale == pytest.approx(np.log(1 / 0.07) * 32)  # of fresh weights: norms are sqrt(1024)


def test_without_options_it_decodes_published_epochs_only(here: Any, tmp_path: Path) -> None:
    torch.save(make().state_dict(), tmp_path / "weights.pth")
    assert here("import-weights", tmp_path / "weights.pth", tmp_path / "new" / "d", "--encoder", "nice").returncode == 0
    decoder = Decoder.load(tmp_path / "new" / "d")
    assert (decoder.space, decoder.gallery) == (PUBLISHED_SPACE, None)
    assert decoder.training == {"imported": "weights.pth", "truncated": False}
    assert decoder.preprocessor.window(250.0, APPLIED) == (0.0, 250)
    decoder.preprocessor.check_stream(250.0, APPLIED)
    with pytest.raises(ChannelMismatchError, match="has not been through baseline, resample, whiten"):
        decoder.preprocessor.check_stream(1000.0, ())


def test_epochs_give_preprocessing_and_gallery_the_space(here: Any, tmp_path: Path) -> None:
    save_file(make("muse", 3, 100, 24).state_dict(), tmp_path / "weights.safetensors")
    write_epochs(tmp_path / "epochs", SMALL)
    make_gallery(np.random.default_rng(1).normal(size=(6, 24)), "random:24").save(tmp_path / "gallery")
    wanted = [tmp_path / "weights.safetensors", tmp_path / "d", "--encoder", "muse", "--epochs", tmp_path / "epochs"]
    assert here("import-weights", *wanted, "--gallery", tmp_path / "gallery").returncode == 0
    decoder = Decoder.load(tmp_path / "d")
    assert decoder.preprocessor.to_config() == SMALL.to_config()
    np.testing.assert_array_equal(decoder.preprocessor.spatial, SMALL.spatial)
    assert decoder.space == "random:24"
    assert decoder.classes == LABELS


class Program:
    """What a pickle can hold besides data: a call, made when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return open, (str(self.path), "w")


def spoilt(path: Path, start: int, stop: int | None, put: bytes = b"") -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:start] + put + (whole[stop:] if stop is not None else b""))


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "text")


WHOLE = make(n_chans=3, n_times=100, n_outputs=24)
REFUSED: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "absent": (lambda path: None, ["cannot be read: No such file"]),
    "a folder": (lambda path: path.mkdir(), ["cannot be read: Is a directory"]),
    "empty": (lambda path: path.write_bytes(b""), ["damaged, cut short", "download it again"]),
    "text": (lambda path: path.write_text("hello world\n" * 99), ["damaged, cut short or of another kind"]),
    "an archive": (write_zip, ["of another kind"]),
    "cut short": (lambda path: (torch.save(WHOLE.state_dict(), path), spoilt(path, 9000, None)), ["cut short"]),
    "cut short, safetensors": (
        lambda path: (save_file(WHOLE.state_dict(), path), spoilt(path, 9000, None)),
        ["damaged, cut short"],
    ),
    "damaged": (lambda path: (torch.save(WHOLE.state_dict(), path), spoilt(path, 200, 220, b"\xff" * 20)), ["damaged"]),
    "a program": (
        lambda path: torch.save({"a": Program(path.with_name("was-run"))}, path),
        ["open, which is not a tensor", "could run any program"],
    ),
    "a program, before PyTorch 1.6": (
        lambda path: torch.save(Program(path.with_name("was-run")), path, _use_new_zipfile_serialization=False),
        ["open, which is not a tensor"],
    ),
    "a program, pickled": (
        lambda path: path.write_bytes(pickle.dumps(Program(path.with_name("was-run")), protocol=2)),
        ["open, which is not a tensor"],
    ),
    "a whole model": (lambda path: torch.save(WHOLE, path), ["NICE, which is not a tensor", "model.state_dict()"]),
    "a tensor": (lambda path: torch.save(torch.ones(3), path), ["a Tensor: no state dict", "torch.save(model."]),
    "other things": (lambda path: torch.save({"loss": 1.5, "epoch": 3}, path), ["a dict of loss, epoch"]),
    "other sizes": (lambda path: torch.save(WHOLE.state_dict(), path), ["has shape (40, 40, 3, 1)", "(40, 40, 63, 1)"]),
    "fewer dimensions": (lambda path: torch.save(make(n_outputs=24).state_dict(), path), ["24 outputs", "--gallery"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_files_are_refused_in_words(case: str, here: Any, tmp_path: Path) -> None:
    write, words = REFUSED[case]
    path = tmp_path / "weights.pth"
    write(path)
    done = here("import-weights", path, tmp_path / "d", "--encoder", "nice")
    assert done.returncode == 2
    said = done.stderr
    assert said.startswith(f"necomimi: {path}")
    assert "weights_only" not in said  # torch's advice: to switch the protection off
    assert 2 <= len(said.splitlines()) <= 3
    for word in words:
        assert word in said
    assert {entry.name for entry in tmp_path.iterdir()} <= {"weights.pth"}  # nothing was run, nothing is left


def test_foreign_folder_and_unknown_encoder_are_refused(here: Any, tmp_path: Path) -> None:
    torch.save(make().state_dict(), tmp_path / "weights.pth")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("text")
    done = here("import-weights", tmp_path / "weights.pth", tmp_path / "mine", "--encoder", "nice")
    assert done.returncode == 2
    assert "holds no config.json" in done.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "text"
    done = here("import-weights", tmp_path / "weights.pth", tmp_path / "d", "--encoder", "eegnet")
    assert done.returncode == 2
    assert "one of atms, muse, nerv, nervformer, nice" in done.stderr
    assert here("import-weights", tmp_path / "weights.pth", tmp_path / "d").returncode == 2  # no --encoder
