"""Each check passes where all is well, and fails where the mistake it looks for is made."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from necomimi.decoder import Decoder
from necomimi.encoders import Encoder
from necomimi.epochs import Epochs, EpochSet
from necomimi.gallery import Gallery
from necomimi.offline.guards import Guard, check_decoder, describe
from necomimi.preprocessing import Preprocessor

N_ITEMS, N_REPETITIONS, N_DIMS, N_TIMES = 30, 8, 12, 6
NAMES = [
    "batch of one = batch of many", "permuted queries permute the answers", "shuffled labels give chance",
    "gallery in the order of its files", "whitening saw training data only",
    "training, validation and test concepts are disjoint",
]  # fmt: skip
PREPROCESSOR = Preprocessor(
    ch_names=tuple(f"E{i}" for i in range(N_DIMS)), sfreq=100.0, tmin=0.0, tmax=0.05, baseline=None, start=0.0,
    n_times=N_TIMES, spatial=np.eye(N_DIMS, dtype=np.float32),
)  # fmt: skip


class Mean(Encoder):
    """The right answer for epochs whose channels hold the embedding."""

    def __init__(self) -> None:
        super().__init__(N_DIMS, N_TIMES, N_DIMS)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=2)


class Neighbours(Mean):
    """Looks at the other queries of the batch."""

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return super().encode(x - x.mean(dim=0))


class Numbered(Mean):
    """Answers by the place of a query in the batch, as the table of averaged epochs is sorted."""

    def __init__(self, answers: torch.Tensor) -> None:
        super().__init__()
        self.answers = answers

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.answers[torch.arange(len(x)) % len(self.answers)]


def make_gallery() -> Gallery:
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS, N_DIMS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = tuple(f"c{i:02d}" for i in range(N_ITEMS))
    return Gallery(labels=labels, files=tuple(f"{x}/{x}.jpg" for x in labels), embeddings=vectors, space="random:12")


def make_part(gallery: Gallery, prefix: str = "") -> EpochSet:
    data = np.tile(gallery.embeddings, (N_REPETITIONS, 1))[:, :, None]
    data = data + 0.2 * np.random.default_rng(1).normal(size=(len(data), N_DIMS, N_TIMES))
    n = len(data)
    return EpochSet(
        data=data.astype(np.float32),
        labels=tuple(prefix + label for label in gallery.labels) * N_REPETITIONS,
        pictures=tuple(prefix + file for file in gallery.files) * N_REPETITIONS,
        sessions=np.ones(n, dtype=np.int64), repetitions=np.ones(n, dtype=np.int64), onsets=np.arange(n, dtype=float),
    )  # fmt: skip


def make_epochs(gallery: Gallery) -> Epochs:
    return Epochs(
        train=make_part(gallery, "train"), test=make_part(gallery), preprocessor=PREPROCESSOR, source="a test",
        path=Path("e"),
    )  # fmt: skip


def make_decoder(gallery: Gallery, encoder: Encoder | None = None) -> Decoder:
    return Decoder(
        encoder_config={"name": "mean", "n_chans": N_DIMS, "n_times": N_TIMES, "n_outputs": N_DIMS},
        encoder=encoder or Mean(), preprocessor=PREPROCESSOR, space=gallery.space, logit_scale=20.0, gallery=gallery,
    )  # fmt: skip


def check(decoder: Decoder, epochs: Epochs) -> dict[str, Guard]:
    assert epochs.test is not None
    guards = check_decoder(decoder, epochs, epochs.test)
    assert [guard.name for guard in guards] == NAMES
    return {guard.name: guard for guard in guards}


def failures(guards: dict[str, Guard]) -> list[str]:
    return [NAMES.index(guard.name) for guard in guards.values() if guard.passed is False]  # type: ignore[misc]


def test_all_pass_where_all_is_well() -> None:
    gallery = make_gallery()
    guards = check(make_decoder(gallery), make_epochs(gallery))
    assert all(guard.passed for guard in guards.values())
    assert describe([asdict(guard) for guard in guards.values()]) == f"6 checks passed ({', '.join(NAMES)})"


def test_an_encoder_that_looks_at_the_other_queries_is_caught() -> None:
    gallery = make_gallery()
    assert 0 in failures(check(make_decoder(gallery, Neighbours()), make_epochs(gallery)))


def test_an_encoder_that_answers_by_position_is_caught() -> None:
    gallery = make_gallery()
    encoder = Numbered(torch.from_numpy(gallery.embeddings.copy()))
    guards = check(make_decoder(gallery, encoder), make_epochs(gallery))
    # Averages come sorted by name, as the gallery is: answers by position are right whatever was shown.
    assert {1, 2} <= set(failures(guards))
    assert "100.0% of 30" in guards[NAMES[2]].detail


def test_labels_that_contradict_the_gallery_are_caught() -> None:
    gallery = make_gallery()
    moved = replace(gallery, labels=gallery.labels[1:] + gallery.labels[:1])
    guards = check(make_decoder(moved), make_epochs(gallery))
    assert failures(guards) == [3]
    assert "'c00' is 'c01' in the gallery" in guards[NAMES[3]].detail


@pytest.mark.parametrize(("kind", "held"), [("training", []), ("validation", ["c00", "c01"])])
def test_test_concepts_in_training_or_validation_are_caught(kind: str, held: list[str]) -> None:
    gallery = make_gallery()
    epochs = make_epochs(gallery)
    decoder = make_decoder(gallery)
    decoder.training = {"val_concepts": held}
    part = epochs.train
    seen = replace(part, labels=("c00", "c01", *part.labels[2:]))
    guards = check(decoder, replace(epochs, train=seen))
    assert failures(guards) == [5]
    assert guards[NAMES[5]].detail == f"2 of 30 test concepts are {kind} concepts"


def test_test_pictures_under_another_name_in_training_are_caught() -> None:
    gallery = make_gallery()
    epochs = make_epochs(gallery)
    seen = replace(epochs.train, pictures=("c05/c05.jpg", *epochs.train.pictures[1:]))
    guards = check(make_decoder(gallery), replace(epochs, train=seen))
    assert guards[NAMES[5]] == Guard(NAMES[5], False, "1 test pictures are training pictures")
    assert (
        describe([asdict(guard) for guard in guards.values()])
        == f"CHECK FAILED: {NAMES[5]}: 1 test pictures are training pictures"
    )


def test_what_cannot_be_claimed_is_no_failure() -> None:
    gallery = make_gallery()
    epochs = make_epochs(gallery)
    by_others = replace(PREPROCESSOR, applied=("whiten",))
    for given, words in (
        (replace(epochs, transductive=True), "test epochs were looked at"),
        (replace(epochs, preprocessor=by_others), "whitened by somebody else"),
    ):
        guards = check(make_decoder(gallery), given)
        assert guards[NAMES[4]].passed is None
        assert words in guards[NAMES[4]].detail
        line = describe([asdict(guard) for guard in guards.values()])
        assert line.startswith("5 checks passed")
        assert f"not claimed: {NAMES[4]}" in line


def test_label_galleries_of_unequal_classes_pass() -> None:
    gallery = Gallery.from_labels(["standard", "target"])
    rng = np.random.default_rng(0)
    target = rng.random(200) < 0.15
    data = np.zeros((200, N_DIMS, N_TIMES), dtype=np.float32)
    data[np.arange(200), target.astype(int)] = 1.0
    part = EpochSet(
        data=data, labels=tuple(np.where(target, "target", "standard").tolist()), pictures=("",) * 200,
        sessions=np.ones(200, dtype=np.int64), repetitions=np.ones(200, dtype=np.int64), onsets=np.arange(200.0),
    )  # fmt: skip

    class First(Encoder):
        def __init__(self) -> None:
            super().__init__(N_DIMS, N_TIMES, 2)

        def encode(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=2)[:, :2]

    decoder = Decoder(
        encoder_config={"name": "first", "n_chans": N_DIMS, "n_times": N_TIMES, "n_outputs": 2}, encoder=First(),
        preprocessor=PREPROCESSOR, space=gallery.space, logit_scale=5.0, gallery=gallery,
    )  # fmt: skip
    epochs = Epochs(train=part, test=part, preprocessor=PREPROCESSOR, source="a test", path=Path("e"))
    guards = check_decoder(decoder, epochs, part)
    assert [guard.name for guard in guards] == NAMES[:5]  # answers are labels: nobody claims that they are new
    assert all(guard.passed for guard in guards)
