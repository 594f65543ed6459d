"""A perturbation's report shows what is painted with and without noise, of the same stimuli and from the same seed."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from necomimi.decoder import Decoder
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery
from necomimi.offline.perturb import command, find_cases, perturb
from necomimi.offline.perturb_pictures import BeforeAndAfter
from necomimi.offline.perturbation import choose_channels


def test_same_stimuli_before_and_after(painted_person: Path, painters: ModuleType) -> None:
    cases = find_cases(painted_person / "decoder", painted_person / "epochs", None, "test", "cpu")
    decoder = cases[0].decoder
    assert decoder.gallery is not None
    pictures = BeforeAndAfter(painters.Blocks(noise=9.0), [decoder], decoder.gallery)
    chosen = choose_channels(decoder.preprocessor.ch_names, "O1,Oz", None)
    perturb(cases, chosen, repetitions=None, n_seeds=2, each=True, pictures=pictures)
    assert list(pictures.rows) == ["shown", "sub-01", "sub-01 noise"]
    items = np.linspace(0, 19, 10).round().astype(int)
    assert pictures.names == tuple(f"test{item:02d}" for item in items)
    gallery = Gallery.load(painted_person / "gallery")
    np.testing.assert_array_equal(pictures.rows["shown"], np.asarray(gallery.thumbnails)[items])
    part = cases[0].part
    rows = [i for i, label in enumerate(part.labels) if label == pictures.names[3]]
    vectors = decoder.to_image_space(decoder.embed(np.asarray(part.data)[rows].mean(axis=0, keepdims=True)))
    expected = painters.Blocks(noise=9.0).paint(vectors, [0])[0].astype(int)
    np.testing.assert_allclose(pictures.rows["sub-01"][3], expected, atol=2)
    truth = painters.Blocks().paint(gallery.embeddings[items], [0] * 10).astype(float)
    before, after = (np.abs(pictures.rows[name] - truth).mean() for name in ("sub-01", "sub-01 noise"))
    assert after > 1.2 * before


def test_first_of_several_embeddings_and_missing_stimuli(painted_person: Path, painters: ModuleType) -> None:
    decoder = Decoder.load(painted_person / "decoder")
    decoder.prior = None
    gallery = Gallery.load(painted_person / "gallery")
    pictures = BeforeAndAfter(painters.Blocks(), [decoder], gallery)
    pictures.add("all", decoder, np.array([4, 2, 4, 7]), gallery.embeddings[[4, 2, 9, 7]])
    np.testing.assert_array_equal(pictures.rows["all"], painters.Blocks().paint(gallery.embeddings[[2, 4, 7]], [0] * 3))
    pictures.add("some", decoder, np.array([7]), gallery.embeddings[[7]])
    np.testing.assert_array_equal(pictures.rows["some"][2], pictures.rows["all"][2])
    assert not pictures.rows["some"][:2].any()


def test_another_space_is_refused_before_the_work(painted_person: Path, painters: ModuleType) -> None:
    decoder = Decoder.load(painted_person / "decoder")
    decoder.space, decoder.prior = "open_clip:X/y", None
    assert decoder.gallery is not None
    with pytest.raises(ConfigError, match=r"open_clip:X/y(.|\n)*blocks:27"):
        BeforeAndAfter(painters.Blocks(), [decoder], decoder.gallery)


def test_report_shows_the_pictures(
    painted_person: Path, painters: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("necomimi.generators.build_generator", lambda *_, **__: painters.Blocks())
    app = typer.Typer()
    app.command()(command)
    words = [painted_person / "decoder", painted_person / "epochs", "--no-each", "--seeds", 1, "--device", "cpu"]
    words += ["--generator", "blocks", "--gallery", painted_person / "gallery", "--json"]
    with pytest.raises(ConfigError, match="--generator without --report"):
        CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    words += ["--report", tmp_path / "p.html"]
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["channels"] == ["O1", "Oz"]
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3 * 10
    assert "Painted by blocks" in page
