"""A generator learns to paint what can be told apart, goes on where it was killed, keeps a refiner only if it wins."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from necomimi.config import load_settings
from necomimi.embedded_generator import GeneratorWeights, build_embedded
from necomimi.errors import CheckpointError, ConfigError
from necomimi.offline import train_generator as module
from necomimi.offline.generator_fit import GeneratorSettings, disturbed, fit_decoder, picture_loss
from necomimi.offline.resume import RunFile
from necomimi.offline.train import app
from necomimi.offline.train_generator import train_generator
from necomimi.picture_metrics import two_way
from necomimi.picture_world import PictureWorld, draw_world

SETTINGS = GeneratorSettings(
    size=32, exemplars=6, unseen=4, concepts=12, passes=120, refiner_passes=2, steps=2, widths=(64, 32, 16),
    refiner_widths=(16, 16), batch_size=16, average=0.9, device="cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def world() -> PictureWorld:
    return draw_world(SETTINGS.exemplars, SETTINGS.unseen, SETTINGS.size, n_concepts=SETTINGS.concepts)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("generator") / "out"
    return out, train_generator(out, SETTINGS)


def test_held_out_pictures_are_told_apart(trained: tuple[Path, dict]) -> None:
    out, facts = trained
    known = facts["coarse"]["known"]
    assert (known["n_concepts"], known["n_pictures"]) == (8, 16)
    assert facts["coarse"]["unseen"]["n_concepts"] == 4
    low, high = known["two_way_interval"]
    assert low <= known["two_way"] <= high
    losses = [row["held_loss"] for row in facts["curves"]["decoder"]]
    assert len(losses) == SETTINGS.passes
    assert losses[-1] < 0.8 * losses[0]
    kept = GeneratorWeights.load(out)
    assert kept.training["coarse"] == facts["coarse"]
    assert kept.training["settings"] == json.loads(json.dumps(facts["settings"]))


def test_new_pictures_of_known_concepts_are_painted(trained: tuple[Path, dict], world: PictureWorld) -> None:
    generator = build_embedded("cpu", model=str(trained[0]), steps=1)
    rows = world.judging["known"]
    painted = generator.paint(world.embeddings[rows], rows.tolist())
    for number in range(2):  # pixels tell one picture of each concept from the others
        those = slice(number, None, 2)
        truth, found = (each[those].reshape(8, -1).astype(np.float32) for each in (world.pixels[rows], painted))
        assert two_way(truth, found).mean() > 0.8


def test_a_refiner_that_does_not_win_is_left_out(trained: tuple[Path, dict]) -> None:
    out, facts = trained
    low, high = facts["gain_interval"]
    assert low <= facts["gain"] <= high
    assert facts["refiner_kept"] == (low > 0)
    assert build_embedded("cpu", model=str(out)).steps == (1 + SETTINGS.steps if low > 0 else 1)


def test_the_rule_for_a_refiner_looks_at_the_interval(world: PictureWorld) -> None:
    rows = world.judging["known"]
    truth, random = world.embeddings[rows], np.random.default_rng(0)
    near = truth + 0.1 * random.normal(size=truth.shape).astype(np.float32)
    assert module._gain(world, np.zeros_like(truth), near)["refiner_kept"]
    assert not module._gain(world, near, near)["refiner_kept"]
    mixed = near.copy()
    mixed[::2] += 0.5 * truth[::2]
    mixed[1::2] -= 0.5 * truth[1::2]
    assert not module._gain(world, near, mixed)["refiner_kept"]


class Killed(Exception):
    """The end of a process."""


def test_a_killed_run_ends_with_the_same_weights(world: PictureWorld, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"passes": 6})
    whole = fit_decoder(world, settings, torch.device("cpu"), lambda figures: None, None)

    def kill(figures: dict[str, float]) -> None:
        if figures["pass"] == 4:
            raise Killed

    file = RunFile(tmp_path / "decoder.pt", "key")
    with pytest.raises(Killed):
        fit_decoder(world, settings, torch.device("cpu"), kill, file)
    kept = file.load()
    assert kept is not None
    assert 1 <= kept["done"] <= 3
    again = fit_decoder(world, settings, torch.device("cpu"), lambda figures: None, file)
    assert [row["loss"] for row in again.history] == [row["loss"] for row in whole.history]
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name]), name


def test_noise_keeps_embeddings_of_unit_norm_and_near() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(2000, 256, generator=torch.Generator().manual_seed(0)), dim=1)
    found = disturbed(vectors, 0.4, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2000))
    lengths = (1 / (vectors * found).sum(dim=1) ** 2 - 1).sqrt()  # of the noise across, which is nearly all of it
    assert float(lengths.mean()) == pytest.approx(0.4 * (2 / np.pi) ** 0.5, rel=0.05)
    torch.testing.assert_close(disturbed(vectors, 0.0, torch.Generator()), vectors)


def test_loss_by_hand() -> None:
    truth, painted = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    painted[:, :, 0, 0] = 1.0
    assert float(picture_loss(painted, truth, 0.0)) == pytest.approx(0.25)
    assert float(picture_loss(painted, truth, 2.0)) == pytest.approx(0.25 + 2 * (0.5 + 0.5))


def test_the_command_writes_a_generator(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(
        "concepts = 8\nunseen = 2\nsize = 32\nexemplars = 2\nwidths = [16, 8]\nbatch_size = 8\nrefiner_passes = 0\n"
    )
    arguments = ["generator", str(tmp_path / "out"), "--config", str(config), "--passes", "1", "--device", "cpu"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "6 known" in result.output
    assert "2 unseen" in result.output
    assert "refiner" not in result.output
    assert set(load_file(tmp_path / "out" / "generator.safetensors")) >= {"decoder.first.weight"}


def test_wrong_settings_and_places_are_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").touch()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        train_generator(tmp_path / "notes", SETTINGS)
    with pytest.raises(ConfigError, match="unseen"):
        train_generator(tmp_path / "out", SETTINGS.model_copy(update={"unseen": 12}))
    assert not (tmp_path / "out.training").exists()
    for widths in ((16,) * 6, (16, 12)):  # 32 pixels have five doublings
        with pytest.raises(ConfigError, match="widths"):
            load_settings(GeneratorSettings, overrides={"size": 32, "widths": widths})
