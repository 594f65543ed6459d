"""What a decoder of other people is worth to a new one: simulated people -> top-5 by share of the new one's epochs.

Three people train the base; the fourth gives 10, 25, 50 or 100 % of the training concepts. Judged on the fourth's test
concepts, which nobody's training has seen: an encoder from fresh weights, the base as it is, and the base fine-tuned.

    python benchmarks/fine_tuning.py OUT
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from necomimi.embedders import build_embedder
from necomimi.epochs import Epochs
from necomimi.offline.embed import embed_folder
from necomimi.offline.engine import TrainSettings, train_encoder
from necomimi.offline.fine_tuning import Base
from necomimi.offline.judgement import judge_decoder
from necomimi.offline.simulate import SimulationSettings, simulate
from necomimi.offline.things_raw import preprocess_things

SIMULATION = SimulationSettings(
    subjects=4, concepts=160, test_concepts=50, pictures=2, repetitions=2, test_repetitions=4, sessions=1, snr=3.0
)
SHARES = (0.1, 0.25, 0.5, 1.0)
SEEDS = (0, 1)


def main(out: Path) -> None:
    """Print the table."""
    if not (out / "people").is_dir():
        simulate(SIMULATION, out / "people")
    people = []
    for number in range(1, 5):
        path = out / f"sub-{number:02d}"
        if not path.is_dir():
            preprocess_things(out / "people", path, subject=number)
        people.append(Epochs.load(path))
    folder, embedder = out / "people" / "image_set", build_embedder("embedded")
    training, test = (embed_folder(folder / f"{split}_images", embedder) for split in ("training", "test"))
    *others, new = people
    assert new.test is not None
    trained = train_encoder(others, training, TrainSettings(), search=test).decoder
    base = Base(decoder=trained, path="base")

    def top5(decoder, repetitions):  # type: ignore[no-untyped-def]
        return judge_decoder(decoder, new.test, [repetitions])["rows"][0]["top5"]

    trained.use_subject(None)
    print(f"base as it is: {top5(trained, 1):.1%}, mean of four {top5(trained, None):.1%}; chance {5 / 50:.1%}")
    concepts = np.array(sorted(set(new.train.labels)))
    for share in SHARES:
        figures: dict[str, list[float]] = {}
        for seed in SEEDS:
            chosen = np.random.default_rng(seed).permutation(concepts)[: round(share * len(concepts))]
            rows = np.flatnonzero(np.isin(new.train.labels, chosen))
            part = replace(new, train=new.train.rows(rows, np.asarray(new.train.data[rows])))
            for name, start in (("fresh", None), ("fine-tuned", base)):
                made = train_encoder(part, training, TrainSettings(seed=seed), search=test, base=start)
                figures.setdefault(name, []).append(top5(made.decoder, 1))
                figures.setdefault(f"{name}, mean of four", []).append(top5(made.decoder, None))
                if start is not None:
                    figures.setdefault("pass", []).append(made.best_epoch)
        cells = ", ".join(f"{name} {np.mean(values):.3g}" for name, values in figures.items())
        print(f"{share:.0%} ({len(rows)} epochs): {cells}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
