"""What docs/extending.md shows is installed as packages of their own, found by name, decoded and painted with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from necomimi.encoders import build
from necomimi.errors import ConfigError
from necomimi.plugins import find_plugin, plugin_names

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|toml)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)

USE = """
import numpy as np
from necomimi.decoder import Decoder
from necomimi.encoders import build, names
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery
from necomimi.generators import build_generator, generator_names
from necomimi.preprocessing import Preprocessor
import sys

assert "tiny" in names() and "colours" in generator_names()
config = {"name": "tiny", "n_chans": 3, "n_times": 100, "n_outputs": 4, "n_filters": 3}
gallery = Gallery.from_labels("abcd")
preprocessor = Preprocessor(ch_names=("A", "B", "C"), sfreq=100.0, tmin=-0.1, tmax=1.0, baseline=(-0.1, 0.0),
    start=0.0, n_times=100, spatial=np.eye(3, dtype=np.float32))
decoder = Decoder(encoder_config=config, encoder=build(**config), preprocessor=preprocessor, space=gallery.space,
    logit_scale=5.0, gallery=gallery)
decoder.save(sys.argv[1])
data = np.random.default_rng(0).normal(size=(5, 3, 100)).astype(np.float32)
np.testing.assert_allclose(Decoder.load(sys.argv[1]).embed(data), decoder.embed(data), atol=1e-6)
painter = build_generator("colours", "cpu")
vectors = np.eye(256, dtype=np.float32)[:2]
try:
    build_generator("colours", "cpu", size=64)
except ConfigError as error:
    assert error.found == "size for the generator colours"
else:
    raise AssertionError("an option that the generator does not take was dropped in silence")
pictures = painter.paint(vectors, [0, 0])
assert pictures.shape == (2, 64, 64, 3) and pictures.dtype == np.uint8 and (pictures[0] != pictures[1]).any()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which both packages of the page are installed."""
    folder = tmp_path_factory.mktemp("plugins")
    kinds = [kind for kind, _ in BLOCKS]
    assert kinds == ["python", "toml", "python", "toml"]
    texts = [text for _, text in BLOCKS]
    for name, code, project in (("my_encoder", *texts[:2]), ("my_generator", *texts[2:])):
        package = folder / name
        package.mkdir()
        (package / f"{name}.py").write_text(code, encoding="utf-8")
        (package / "pyproject.toml").write_text(project, encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
        done = subprocess.run([*command, "--target", folder / "site", package], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folder / "site"


def test_the_page_s_encoder_and_generator_serve(site: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", USE, tmp_path / "decoder"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_decoder_whose_package_is_not_installed_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="another package must be installed"):
        build("tiny", n_chans=3, n_times=100, n_outputs=4)


def test_a_broken_package_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[necomimi.encoders]\nlost = not_there:Lost\nodd = math:pi\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert {"lost", "odd"} <= set(plugin_names("encoders"))
    with pytest.raises(ConfigError, match="not_there:Lost, which offers 'lost', cannot be imported"):
        find_plugin("encoders", "lost")
    with pytest.raises(ConfigError, match="is a float"):
        find_plugin("encoders", "odd")
    assert find_plugin("encoders", "nobody") is None
