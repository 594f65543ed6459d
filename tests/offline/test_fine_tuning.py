"""Training starts from other people's decoder: with its encoder, at its accuracy, and what does not fit is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from necomimi.decoder import Decoder
from necomimi.encoders import build
from necomimi.epochs import Epochs
from necomimi.errors import CheckpointError, ConfigError
from necomimi.gallery import Gallery
from necomimi.offline.engine import TrainSettings, TrainStep, train_encoder
from necomimi.offline.fine_tuning import PASSES, SLOWER, Base
from necomimi.offline.judgement import judge_decoder

SMALL = {"n_filters": 8, "n_hidden": 16, "dropout": [0.0, 0.0]}
SETTINGS = TrainSettings(
    options=SMALL, epochs=40, batch_size=32, lr=5e-3, noise=0, smoothing=0, val_concepts=5, average=False, device="cpu"
)
TUNED = TrainSettings(batch_size=16, noise=0, smoothing=0, val_concepts=5, average=False, device="cpu")


@pytest.fixture(scope="module")
def trained(people: Path) -> tuple[Base, Epochs, Gallery, Gallery]:
    """Return a decoder of sub-01 and sub-02, the epochs of sub-03, and the galleries of training and test pictures."""
    training, test = Gallery.load(people / "training"), Gallery.load(people / "test")
    one, two, three = (Epochs.load(people / "epochs" / f"sub-{number:02d}") for number in (1, 2, 3))
    decoder = train_encoder([one, two], training, SETTINGS, search=test).decoder
    return Base(decoder=decoder, path="somewhere"), three, training, test


def test_it_starts_at_the_accuracy_of_the_base(trained: tuple[Base, Epochs, Gallery, Gallery]) -> None:
    base, epochs, training, test = trained
    result = train_encoder(epochs, training, TUNED, base=base, search=test)
    held = result.decoder.training["val_concepts"]
    rows = np.flatnonzero(np.isin(epochs.train.labels, held))
    part = epochs.train.rows(rows, np.asarray(epochs.train.data[rows]))
    base.decoder.use_subject(None)  # the mean of the layers, as the new person begins
    base.decoder.use_gallery(training.select(np.flatnonzero(np.isin(training.labels, held))))
    vectors = base.decoder.embed(part.data)
    items = [training.index_of(picture) for picture in part.pictures]
    places = [base.decoder.gallery.files.index(training.files[item]) for item in items]  # type: ignore[union-attr]
    scores = vectors @ base.decoder.gallery.embeddings.T  # type: ignore[union-attr]
    rivals = np.array([[label != shown for label in base.decoder.gallery.labels] for shown in part.labels])  # type: ignore[union-attr]
    own = scores[np.arange(len(scores)), places][:, None]
    alone = ((scores > own) & rivals).sum(axis=1) == 0
    # A rival concept has two pictures, of which the judge draws one: at least as often right as against both.
    assert alone.mean() <= result.start["top1"] <= alone.mean() + 0.25
    assert result.start["top1"] > 0.4
    assert result.best_validation["top1"] + result.best_validation["top5"] >= sum(
        result.start[key] for key in ("top1", "top5")
    )


def test_little_data_goes_further_than_from_fresh_weights(trained: tuple[Base, Epochs, Gallery, Gallery]) -> None:
    base, epochs, training, test = trained
    few = np.flatnonzero(np.isin(epochs.train.labels, [f"c{i}" for i in range(10)]))
    part = replace(epochs, train=epochs.train.rows(few, np.asarray(epochs.train.data[few])))
    assert epochs.test is not None
    figures = {}
    for name, start, settings in (("fresh", None, SETTINGS), ("tuned", base, TUNED)):
        decoder = train_encoder(part, training, settings, base=start, search=test).decoder
        figures[name] = judge_decoder(decoder, epochs.test, [1])["rows"][0]["top1"]
    assert figures["tuned"] > figures["fresh"] + 0.1
    assert figures["tuned"] > 0.5  # of six


def test_the_new_person_has_the_mean_layer_and_a_known_one_their_own(
    trained: tuple[Base, Epochs, Gallery, Gallery],
) -> None:
    base = trained[0]
    layers = base.decoder.encoder.subject_wise_linear
    assert layers is not None
    mean = torch.stack([layer.weight for layer in layers]).mean(dim=0)
    torch.testing.assert_close(base.weights(["sub-09"])["encoder"]["subject_wise_linear.0.weight"], mean)
    both = base.weights(["sub-02", "sub-09"])["encoder"]
    torch.testing.assert_close(both["subject_wise_linear.0.weight"], layers[1].weight)
    torch.testing.assert_close(both["subject_wise_linear.1.weight"], mean)
    assert "subject_wise_linear.2.weight" not in both


def test_the_decoder_is_of_the_new_person_alone_and_knows_where_it_came_from(
    trained: tuple[Base, Epochs, Gallery, Gallery], tmp_path: Path
) -> None:
    base, epochs, training, test = trained
    result = train_encoder(epochs, training, TUNED, base=base, search=test)
    result.decoder.save(tmp_path / "d")
    decoder = Decoder.load(tmp_path / "d")
    assert decoder.subjects == {}
    assert decoder.encoder_config == {
        "name": "multiblur", "n_chans": 4, "n_times": 16, "n_outputs": 6, "personal_layer": True, **SMALL,
    }  # fmt: skip
    facts = decoder.training
    assert facts["base"] == {
        "path": "somewhere", "subjects": ["sub-01", "sub-02"], "source": "a test",
        "n_train": base.decoder.training["n_train"], "train_concepts": base.decoder.training["train_concepts"],
        "validation": result.start,
    }  # fmt: skip
    assert facts["settings"]["epochs"] == PASSES
    assert facts["settings"]["lr"] == 2e-3 / SLOWER
    np.testing.assert_array_equal(decoder.preprocessor.spatial, epochs.preprocessor.spatial)
    again = train_encoder(epochs, training, TUNED, base=Base(decoder=decoder, path="again"), search=test)
    assert again.start == {
        key: result.best_validation[key] for key in ("top1", "top5")
    }  # the layer of its one person is taken as it is


def test_a_base_of_one_person_gives_all_it_has(people: Path) -> None:
    training = Gallery.load(people / "training")
    one, two = (Epochs.load(people / "epochs" / f"sub-{number:02d}") for number in (1, 2))
    first = train_encoder(one, training, SETTINGS.model_copy(update={"epochs": 3})).decoder
    base = Base(decoder=first, path="one")
    result = train_encoder(two, training, TUNED.model_copy(update={"epochs": 1}), base=base)
    assert result.decoder.encoder_config == first.encoder_config
    with pytest.raises(ConfigError, match=r"several people, and one is of one person"):
        train_encoder([one, two], training, TUNED, base=base)


def test_nothing_better_leaves_the_base_as_it_was(trained: tuple[Base, Epochs, Gallery, Gallery]) -> None:
    base, epochs, training, _ = trained
    settings = TUNED.model_copy(update={"shuffle_labels": True, "lr": 0.5, "epochs": 1})
    targets = train_encoder(epochs, training, settings, base=base)
    if targets.best_epoch == 0:  # chance may favour the pass that learned nonsense
        for name, tensor in targets.decoder.encoder.state_dict().items():
            torch.testing.assert_close(tensor, base.weights(["sub-03"])["encoder"][name])


class Stopped(Exception):
    pass


def test_a_killed_run_goes_on_and_another_base_is_another_run(
    trained: tuple[Base, Epochs, Gallery, Gallery], tmp_path: Path
) -> None:
    base, epochs, training, _ = trained

    def stop(step: TrainStep) -> None:
        if step.done == 4:
            raise Stopped

    def passes(start: Base, stopping: Callable[[TrainStep], None] | None = None) -> tuple[list[int], object]:
        steps: list[int] = []

        def note(step: TrainStep) -> None:
            steps.append(step.done)
            if stopping is not None:
                stopping(step)

        return steps, train_encoder(epochs, training, TUNED, base=start, on_epoch=note, folder=tmp_path)

    with pytest.raises(Stopped):
        passes(base, stop)
    steps, found = passes(base)
    assert 1 < steps[0] <= 4  # after the last pass that was worth writing
    expected = train_encoder(epochs, training, TUNED, base=base)
    assert found.start == expected.start  # type: ignore[attr-defined]
    assert found.best_validation == expected.best_validation  # type: ignore[attr-defined]
    with pytest.raises(Stopped):
        passes(base, stop)
    other = train_encoder(epochs, training, SETTINGS.model_copy(update={"epochs": 1}))
    assert passes(Base(decoder=other.decoder, path="other"))[0][0] == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ch_names": tuple("ABCX")}, r"lack 1 channels \(D\) and have 1 others \(X\)[\s\S]*same cap"),
        ({"ch_names": tuple("BACD")}, r"channels: \('B', 'A'[\s\S]*necomimi preprocess"),
        ({"sfreq": 200.0}, r"a rate in Hz: 200.0\nexpected: 100.0, as the decoder to start from, somewhere"),
        ({"tmax": 0.2}, r"ends \(s\): 0.2\nexpected: 0.15"),
    ],
)
def test_epochs_of_another_kind_are_refused_in_words(
    trained: tuple[Base, Epochs, Gallery, Gallery], change: dict[str, object], words: str
) -> None:
    base, epochs, training, _ = trained
    other = replace(epochs, preprocessor=replace(epochs.preprocessor, **change))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=words):
        train_encoder(other, training, TUNED, base=base)


def test_another_encoder_or_embedder_is_refused_in_words(trained: tuple[Base, Epochs, Gallery, Gallery]) -> None:
    base, epochs, training, _ = trained
    for other in ({"encoder": "nice"}, {"options": {"n_filters": 9}}, {"adapter": True}):
        with pytest.raises(ConfigError, match="the decoder to start from has"):
            train_encoder(epochs, training, TrainSettings(**other), base=base)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="other:6"):
        train_encoder(epochs, replace(training, space="other:6"), TUNED, base=base)


@pytest.mark.parametrize("name", ["multiblur", "nice", "nerv", "atms"])
def test_one_person_may_have_a_layer(name: str) -> None:
    several = build(name, n_chans=8, n_times=120, n_outputs=32, n_subjects=3)
    alone = build(name, n_chans=8, n_times=120, n_outputs=32, personal_layer=True).eval()
    others = ("subject_wise_linear.1.", "subject_wise_linear.2.")
    weights = {key: value for key, value in several.state_dict().items() if not key.startswith(others)}
    alone.load_state_dict(weights)
    several.eval().subject = 0
    x = torch.randn(2, 8, 120)
    with torch.no_grad():
        torch.testing.assert_close(alone(x), several(x))


def test_the_command_names_all_three_validations(
    here: Any, trained: tuple[Base, Epochs, Gallery, Gallery], people: Path, tmp_path: Path
) -> None:
    trained[0].decoder.save(tmp_path / "base")
    done = here(
        "train", "encoder", people / "epochs" / "sub-03", tmp_path / "d", "--from", tmp_path / "base",
        "--gallery", people / "training", "--epochs", 2, "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for words in ("validation, start: ", "validation, best (pass ", "validation, last: "):
        assert words in done.stderr
    facts = Decoder.load(tmp_path / "d").training
    assert facts["base"]["path"] == str(tmp_path / "base")
    assert facts["settings"]["epochs"] == 2
