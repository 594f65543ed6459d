"""Decide what a calibration does, and hold on to it: options -> a plan that a later run must share."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from necomimi.checkpoint import read_config
from necomimi.errors import ConfigError
from necomimi.sequence import Paradigm, draw_sequences
from necomimi.spaces import Space

__all__ = ["BREAK_S", "Plan", "base_config", "embedding_of", "expected_minutes"]

BREAK_S = 0.5  # between two sequences of a rehearsal, whose person has no need of rest


def base_config(path: Path) -> dict[str, Any]:
    """Return what a decoder directory says of itself."""
    return read_config(path, "decoder")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done, kept in OUT/plan.json so that a later run does not mix it with something else.

    Parameters
    ----------
    pictures : str
        The folder; of a rehearsal without one, "".
    limit : int
        Pictures presented at most, drawn with the seed.
    repetitions : int
        How often each of them is presented.
    seed : int
        Of the order, and of the training.
    embed : list of str
        Options of ``necomimi embed``: those of the decoder to fine-tune, where there is one.
    base : str
        The decoder to fine-tune; "" for fresh weights.
    folds : int
        Of the cross-validation.
    rehearse : bool
        With the simulated person.
    """

    pictures: str
    limit: int
    repetitions: int
    seed: int
    embed: list[str]
    base: str
    folds: int
    rehearse: bool

    def keep(self, out: Path) -> None:
        """Write the plan beside its results, or compare it with the one there.

        Raises
        ------
        ConfigError
            OUT holds a calibration with another plan, or a damaged one.
        """
        path, now = out / "plan.json", asdict(self)
        if path.is_file():
            try:
                kept = dict(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError) as error:
                raise ConfigError(
                    f"{path} is damaged: {error}", "the plan of a calibration", "another --out"
                ) from error
            if changed := [key for key in now if kept.get(key) != now[key]]:
                differences = ", ".join(f"{key} {now[key]!r} in place of {kept.get(key)!r}" for key in changed)
                raise ConfigError(
                    f"{out} holds a calibration, and now there is {differences}",
                    "the same options, to go on with it",
                    "another --out for another calibration",
                )
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")


def embedding_of(model: str | None, base: Path | None) -> list[str]:
    """Return the options of ``necomimi embed`` that lead to the space of the decoder to fine-tune, or as asked for."""
    if base is None:
        return ["--model", model or "embedded"]
    fields = base_config(base)
    space = Space.parse(str(fields.get("base_space") or fields.get("space")))
    own = space.model if space.model.startswith("open_clip:") else "embedded"
    if model not in (None, own):
        raise ConfigError(f"--model {model} with --from {base}", f"{own}, or no such option", "it is the decoder's own")
    layer = [] if space.layer is None else ["--layer", str(space.layer)]
    return ["--model", own, *layer, "--levels", ",".join(map(str, space.levels))]


def expected_minutes(n_pictures: int, repetitions: int, *, rehearse: bool = False) -> float:
    """Return how long the presenter needs for so many pictures, but for the long breaks."""
    paradigm = Paradigm(repetitions=repetitions)
    sequences = draw_sequences(tuple(range(n_pictures)), paradigm)
    shown = sum(map(len, sequences)) * (paradigm.on_s + paradigm.off_s)
    return (shown + len(sequences) * (BREAK_S if rehearse else paradigm.break_s)) / 60
