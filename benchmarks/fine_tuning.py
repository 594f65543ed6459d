"""What a decoder of other people is worth to a new one: people's epochs -> accuracy by share of the new one's epochs.

Simulated: three people train the base, the fourth gives some of the training concepts, and is judged by the top-5 of 50
test concepts that nobody's training has seen. Recorded: one person's recording trains the base, the beginning of the
other's fine-tunes it, and its end judges, by the AUC of two labels. In each case also from fresh weights.

    python benchmarks/fine_tuning.py simulated OUT --snr 8
    python benchmarks/fine_tuning.py recorded OUT ONE.fif OTHER.fif --test-from 120
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from necomimi.decoder import Decoder
from necomimi.embedders import build_embedder
from necomimi.epochs import Epochs
from necomimi.gallery import Gallery
from necomimi.offline.engine import TrainSettings, train_encoder
from necomimi.offline.fine_tuning import Base
from necomimi.offline.judgement import judge_decoder
from necomimi.offline.recorded import preprocess_recording
from necomimi.offline.simulate import SimulationSettings, simulate
from necomimi.offline.things_raw import preprocess_things
from necomimi.picture_embedding import embed_folder

SHARES = (0.1, 0.25, 0.5, 1.0)
SEEDS = (0, 1)


def compare(
    others: list[Epochs],
    new: Epochs,
    training: Gallery,
    search: Gallery,
    choose: Callable[[float, int], np.ndarray],
    figure: str,
) -> None:
    """Print a line per share of the new person's epochs: what fresh weights and what the base comes to."""
    assert new.test is not None

    def judge(decoder: Decoder) -> float:
        return float(judge_decoder(decoder, new.test, [1])["rows"][0][figure])  # type: ignore[arg-type]

    trained = train_encoder(others, training, TrainSettings(), search=search).decoder
    if trained.subjects:
        trained.use_subject(None)
    base = Base(decoder=trained, path="base")
    print(f"{figure} of the base as it is: {judge(trained):.3f}")
    for share in SHARES:
        found: dict[str, list[float]] = {"fresh": [], "fine-tuned": [], "pass": []}
        for seed in SEEDS:
            rows = choose(share, seed)
            part = replace(new, train=new.train.rows(rows, np.asarray(new.train.data[rows])))
            for name, start in (("fresh", None), ("fine-tuned", base)):
                made = train_encoder(part, training, TrainSettings(seed=seed), search=search, base=start)
                found[name].append(judge(made.decoder))
            found["pass"].append(made.best_epoch)
        cells = ", ".join(f"{name} {np.mean(values):.3f}" for name, values in found.items())
        print(f"{share:.0%} ({len(rows)} epochs): {cells}", flush=True)


def simulated(out: Path, snr: float) -> None:
    """Compare on simulated people; each has a cortex of their own, so only its dynamics are shared."""
    if not (out / "people").is_dir():
        counts = {"subjects": 4, "concepts": 160, "test_concepts": 50, "pictures": 2}
        simulate(SimulationSettings(**counts, repetitions=2, test_repetitions=4, snr=snr), out / "people")  # type: ignore[arg-type]
    people = []
    for number in range(1, 5):
        path = out / f"sub-{number:02d}"
        if not path.is_dir():
            preprocess_things(out / "people", path, subject=number)
        people.append(Epochs.load(path))
    folder, embedder = out / "people" / "image_set", build_embedder("embedded")
    training, test = (embed_folder(folder / f"{split}_images", embedder) for split in ("training", "test"))
    *others, new = people
    concepts = np.array(sorted(set(new.train.labels)))

    def choose(share: float, seed: int) -> np.ndarray:
        chosen = np.random.default_rng(seed).permutation(concepts)[: round(share * len(concepts))]
        return np.flatnonzero(np.isin(new.train.labels, chosen))

    compare(others, new, training, test, choose, "top5")


def recorded(out: Path, one: Path, other: Path, test_from: float) -> None:
    """Compare on two people's recordings of two labels."""
    people = []
    for path in (one, other):
        preprocess_recording(path, out / path.stem, test_from=test_from)
        people.append(Epochs.load(out / path.stem))
    gallery = Gallery.from_labels(people[0].train.labels)
    n = len(people[1].train)
    compare(people[:1], people[1], gallery, gallery, lambda share, seed: np.arange(round(share * n)), "auc")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(dest="way", required=True)
    parts = {name: ways.add_parser(name) for name in ("simulated", "recorded")}
    for part in parts.values():
        part.add_argument("out", type=Path)
    parts["simulated"].add_argument("--snr", type=float, default=8.0)
    for name in ("one", "other"):
        parts["recorded"].add_argument(name, type=Path)
    parts["recorded"].add_argument("--test-from", type=float, default=120.0)
    arguments = parser.parse_args()
    if arguments.way == "simulated":
        simulated(arguments.out, arguments.snr)
    else:
        recorded(arguments.out, arguments.one, arguments.other, arguments.test_from)


if __name__ == "__main__":
    main()
