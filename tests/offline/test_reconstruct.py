"""Pictures are painted from EEG beside their floor and ceiling, written where they should be, and judged honestly."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from necomimi.decoder import Decoder
from necomimi.diffusion_choices import CLIP_SPACE
from necomimi.errors import CheckpointError, ConfigError, DatasetError
from necomimi.gallery import Gallery
from necomimi.offline.reconstruct import command, reconstruct

KEYS = {
    "decoder", "epochs", "source", "split", "subject", "subject_known", "transductive_epochs", "repetitions",
    "n_averaged", "gallery", "pictures", "generator", "prior", "seeds", "n_pictures", "n_concepts", "ms_per_picture",
    "conditions", "rows", "differences", "skipped", "cat", "cat_skipped", "names", "concepts", "out",
}  # fmt: skip


@pytest.fixture
def noisy(painters: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let the generator be one of blocks, with noise; return what it was built with."""
    asked: dict[str, Any] = {}

    def build(name: str, device: str = "auto", **options: Any) -> Any:
        asked.update(name=name, **options)
        return painters.Blocks(noise=20.0)

    monkeypatch.setattr("necomimi.generators.build_generator", build)
    return asked


def run(*words: object) -> Any:
    """Run the command in this process."""
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def write_tags(path: Path, concepts: list[str]) -> None:
    """Write a table in which every tag belongs to a third of the concepts."""
    lines = ["concept,kind,colour", *(f"{name},{'xyz'[i % 3]},{'rgb'[i % 3]}" for i, name in enumerate(concepts))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_command_paints_writes_and_judges(painted_person: Path, noisy: dict[str, Any], tmp_path: Path) -> None:
    gallery = Gallery.load(painted_person / "gallery")
    write_tags(tmp_path / "tags.csv", list(gallery.labels))
    done = run(
        painted_person / "decoder", painted_person / "epochs", "--pictures", painted_person / "pictures",
        "--generator", "blocks", "--model", "weights", "--steps", 3, "--seeds", 2, "--limit", 12,
        "--networks", "embedded", "--tags", tmp_path / "tags.csv", "--form", tmp_path / "form.csv",
        "--out", tmp_path / "out", "--csv", tmp_path / "r.csv", "--report", tmp_path / "r.html",
        "--device", "cpu", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert set(result) == KEYS
    assert noisy == {"name": "blocks", "model": "weights", "steps": 3, "clip_norm": None}
    assert (result["split"], result["repetitions"], result["n_averaged"], result["seeds"]) == ("test", "all", 3, 2)
    assert (result["gallery"], result["pictures"], result["prior"]) == ("exact picture", "files", "regression")
    assert (result["n_pictures"], result["n_concepts"], result["subject"]) == (12, 12, "sub-01")
    assert list(result["conditions"]) == ["floor", "one-stage", "two-stage", "ceiling"]
    assert "training pictures" in result["conditions"]["floor"]
    rows = {(row["metric"], row["condition"]): row for row in result["rows"]}
    names = ["floor", "shuffled", "one-stage", "two-stage", "ceiling"]
    values = {name: rows["pixcorr", name]["value"] for name in names}
    assert values["ceiling"] > max(values["one-stage"], values["two-stage"])
    assert min(values["one-stage"], values["two-stage"]) > max(values["floor"], values["shuffled"]) + 0.1
    assert rows["embedded", "floor"]["value"] == pytest.approx(0.5)  # one picture for all
    for row in result["rows"]:
        low, high = row["value_interval"]
        assert low <= row["value"] <= high
    # Differences are those of the rows.
    for row in result["differences"]:
        change = rows[row["metric"], "two-stage"]["value"] - rows[row["metric"], "one-stage"]["value"]
        assert row["value"] == pytest.approx(change)
    assert set(result["cat"]) == {"floor", "one-stage", "two-stage", "ceiling"}
    for name, found in result["cat"].items():
        assert rows["cat", name]["value"] == found["share"]
    assert result["cat"]["ceiling"]["n_concepts"] == 12
    assert not result["cat_skipped"]
    # What was written.
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")}
    shared = {f"{name}/{stem}-{seed}.png" for name in names[2:] for stem in result["names"] for seed in (0, 1)}
    judged = {name for name in files if name.startswith("to-judge/")}
    assert files - judged == shared | {"floor/mean-0.png", "floor/mean-1.png", "grid.png"}
    one, other = (np.asarray(Image.open(tmp_path / "out" / "ceiling" / f"test00_01b-{seed}.png")) for seed in (0, 1))
    assert one.shape == (12, 12, 3)
    assert not np.array_equal(one, other)
    with (tmp_path / "r.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["value"]) for line in lines] == [row["value"] for row in result["rows"]]
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 12 * 5  # shown and four conditions
    with (tmp_path / "form.csv").open(encoding="utf-8") as file:
        asked = {line["picture"] for line in csv.DictReader(file)}
    assert asked == judged
    originals = {painted(tmp_path / "out" / name / f"{stem}-0.png") for name in names[2:] for stem in result["names"]}
    assert {painted(tmp_path / "out" / name) for name in asked} == originals
    assert len(asked) == 3 * len(result["names"])
    assert not any(word in name for name in asked for word in (*names, *result["concepts"]))  # nobody is told


def painted(path: Path) -> bytes:
    """Return the pixels of a picture."""
    return Image.open(path).tobytes()


def test_filled_form_is_the_judge(painted_person: Path, noisy: dict[str, Any], tmp_path: Path) -> None:
    gallery = Gallery.load(painted_person / "gallery")
    write_tags(tmp_path / "tags.csv", list(gallery.labels))
    own = {name: "xyz"[i % 3] + "rgb"[i % 3] for i, name in enumerate(gallery.labels)}
    options: dict[str, Any] = {"seeds": 1, "limit": 6, "networks": (), "tags": tmp_path / "tags.csv", "device": "cpu"}
    where = painted_person / "decoder", painted_person / "epochs"
    reconstruct(*where, **options, form=tmp_path / "form.csv", judge="none", out=tmp_path / "out")
    with (tmp_path / "form.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    ceiling = {painted(path): path.name.split("_")[0] for path in (tmp_path / "out" / "ceiling").iterdir()}
    for line in lines:  # somebody who sees all in the ceiling, and nothing in the others
        concept = ceiling.get(painted(tmp_path / "out" / line["picture"]))
        line["matched"] = str(int(concept is not None and line["tag"] in own[concept]))
        line["judge"] = "A"
    with (tmp_path / "form.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    result, _ = reconstruct(*where, **options, judge=str(tmp_path / "form.csv"))
    assert {name: found["share"] for name, found in result["cat"].items()} == {
        "one-stage": 0.0, "two-stage": 0.0, "ceiling": 1.0
    }  # fmt: skip


def test_few_pictures_without_a_tag_in_common_are_not_judged(
    painted_person: Path, noisy: dict[str, Any], tmp_path: Path
) -> None:
    write_tags(tmp_path / "tags.csv", list(Gallery.load(painted_person / "gallery").labels))
    result, _ = reconstruct(
        painted_person / "decoder", painted_person / "epochs", seeds=1, networks=(), limit=2,
        tags=tmp_path / "tags.csv", device="cpu",
    )  # fmt: skip
    assert result["cat"] == {}
    assert "no tag of 2 concepts can be judged" in result["cat_skipped"]


def test_sdxl_turbo_paints_from_eeg(painters: ModuleType, tiny_diffusion: ModuleType, tmp_path: Path) -> None:
    """The real chain on tiny random weights: without a prior there is one stage, and the floor is the gallery's."""
    tiny_diffusion.write(tiny_diffusion.tiny("sdxl-turbo"), 1, tmp_path / "weights")
    settings = painters.SETTINGS.model_copy(update={"epochs": 2})
    painters.write_person(tmp_path, 1024, CLIP_SPACE, with_prior=False, settings=settings)
    done = run(
        tmp_path / "decoder", tmp_path / "epochs", "--generator", "sdxl-turbo", "--model", tmp_path / "weights",
        "--seeds", 2, "--limit", 2, "--networks", "embedded", "--device", "cpu", "--judge", "none", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["generator"] == {"name": "sdxl-turbo", "space": CLIP_SPACE, "size": 512, "steps": 1}
    assert (result["seeds"], result["n_pictures"], result["prior"], result["pictures"]) == (2, 2, None, "thumbnails")
    assert list(result["conditions"]) == ["floor", "one-stage", "ceiling"]
    assert "gallery" in result["conditions"]["floor"]
    assert result["differences"] == []
    assert result["cat_skipped"]


def test_one_picture_each_where_seeds_change_nothing(
    painted_person: Path, painters: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("necomimi.generators.build_generator", lambda *_, **__: painters.Blocks())
    result, grid = reconstruct(
        painted_person / "decoder", painted_person / "epochs", networks=(), judge="none", limit=6, device="cpu"
    )
    assert (result["seeds"], result["n_pictures"], result["concepts"][0]) == (1, 6, "test00")
    truth = Gallery.load(painted_person / "gallery").select([0]).embeddings
    np.testing.assert_array_equal(grid["ceiling"][0], painters.Blocks().paint(truth, [0])[0])
    assert {row["metric"] for row in result["rows"]} == {"pixcorr", "ssim"}
    rows = {(row["metric"], row["condition"]): row["value"] for row in result["rows"]}
    assert rows["pixcorr", "ceiling"] > 0.95


def test_missing_weights_say_what_fetches_them(painted_person: Path, tmp_path: Path) -> None:
    where = painted_person / "decoder", painted_person / "epochs"
    with pytest.raises(CheckpointError, match="necomimi download sdxl-turbo"):
        reconstruct(*where, generator="sdxl-turbo", model=str(tmp_path), networks=(), judge="none", device="cpu")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (("--repetitions", "1,2"), ConfigError, "one number, or all"),
        (("--repetitions", "9"), ConfigError, "--repetitions 9"),
        (("--form", "form.csv"), ConfigError, "--form without --out"),
        (("--out", "nowhere/out"), ConfigError, "nowhere"),
        (("--split", "other"), ConfigError, "test or train"),
        (("--pictures", "."), DatasetError, "20 of 20 pictures are not in"),
        (("--networks", "alexnet9"), ConfigError, "alexnet9"),
        (("--judge", "nobody", "--networks", "embedded"), ConfigError, "nobody"),
    ],
)
def test_wrong_options_are_refused_in_words(
    painted_person: Path,
    noisy: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    error: type[Exception],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tags(tmp_path / "tags.csv", list(Gallery.load(painted_person / "gallery").labels))
    with pytest.raises(error, match=words):
        run(
            painted_person / "decoder", painted_person / "epochs", "--device", "cpu", "--tags", tmp_path / "tags.csv",
            "--limit", 20, *options,
        )  # fmt: skip


def test_damaged_prior_gives_no_picture(painted_person: Path, noisy: dict[str, Any], tmp_path: Path) -> None:
    decoder = Decoder.load(painted_person / "decoder")
    assert decoder.prior is not None
    decoder.prior.image_mean[0] = float("nan")
    decoder.save(tmp_path / "decoder")
    with pytest.raises((ConfigError, CheckpointError)):
        reconstruct(tmp_path / "decoder", painted_person / "epochs", networks=(), judge="none", device="cpu")
