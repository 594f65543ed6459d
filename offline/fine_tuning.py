"""Start from a decoder that is trained already: base decoder, new people -> settings and the weights to begin with.

People differ in the layers along time that `necomimi.encoders` gives each of them; all else is shared. A new person's
layer begins as their own, where the base knows them, else as the mean of the layers of the people it knows. The other
people's layers stay behind: the shared weights will no longer suit them. Nothing is folded away: a base of one person
has no such layer (or, as NERV and ATM-S, one), and a single new person begins with exactly what it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from necomimi.decoder import Decoder
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor

from .people import ALIKE
from .run import Weights
from .settings import TrainSettings

__all__ = ["PASSES", "SLOWER", "Base", "has_people"]

PASSES = 20  # over the data, half of those from fresh weights
SLOWER = 4.0  # times lower than from fresh weights is the peak learning rate
LAYERS = "subject_wise_linear."
SIZES = ("name", "n_chans", "n_times", "n_outputs", "n_subjects", "personal_layer")  # the rest of a config are options


def has_people(weights: Weights) -> bool:
    """Return whether an encoder's weights hold a layer for a person."""
    return any(name.startswith(LAYERS) for name in weights["encoder"])


@dataclass(frozen=True, kw_only=True, eq=False)
class Base:
    """The decoder that a training starts from.

    Parameters
    ----------
    decoder : Decoder
    path : str
        Where it lies, for the new decoder's facts.
    """

    decoder: Decoder
    path: str

    @classmethod
    def load(cls, path: Path) -> Base:
        """Read a decoder directory."""
        return cls(decoder=Decoder.load(path, "cpu"), path=str(path))

    @property
    def facts(self) -> dict[str, Any]:
        """What the new decoder should remember of it: JSON values."""
        training = self.decoder.training
        return {
            "path": self.path,
            "subjects": list(self.decoder.subjects),
            "source": str(training.get("source", "")),
            "n_train": training.get("n_train"),
            "train_concepts": training.get("train_concepts"),
        }

    def settle(self, settings: TrainSettings) -> TrainSettings:
        """Return the settings with the base's encoder, and with fewer, slower passes where nothing else was asked for.

        Raises
        ------
        ConfigError
            The settings ask for another encoder, or for an image adapter where the base has none, or the reverse.
        """
        config = self.decoder.encoder_config
        own = {
            "encoder": config["name"],
            "options": {key: value for key, value in config.items() if key not in SIZES},
            "adapter": self.decoder.adapter is not None,
        }
        for key, value in own.items():
            asked = getattr(settings, key)
            if key in settings.model_fields_set and asked is not None and asked != value:
                raise ConfigError(
                    f"{key} = {asked!r}, and the decoder to start from has {value!r}",
                    "the same encoder",
                    f"leave {key} out, or train from fresh weights, without --from",
                )
        peak = settings.resolved(1, 1, pictures=False).lr
        assert peak is not None
        passes = settings.epochs if "epochs" in settings.model_fields_set else PASSES
        return settings.model_copy(update={**own, "epochs": passes, "lr": settings.lr or peak / SLOWER})

    def require_fit(self, preprocessor: Preprocessor, gallery: Gallery) -> None:
        """Make sure that the new epochs and pictures are what the base was trained for.

        Raises
        ------
        ConfigError
            Channels, rate or window differ.
        CheckpointError
            The gallery is of another embedder.
        """
        ours = self.decoder.pooled_preprocessor
        for name, words in ALIKE.items():
            found, expected = getattr(preprocessor, name), getattr(ours, name)
            if found == expected:
                continue
            if name == "ch_names" and set(found) != set(expected):
                missing, more = (sorted(a - b) for a, b in ((set(expected), set(found)), (set(found), set(expected))))
                raise ConfigError(
                    f"the epochs lack {len(missing)} channels ({', '.join(missing) or 'none'}) and have {len(more)} "
                    f"others ({', '.join(more) or 'none'})",
                    f"the {len(expected)} channels of the decoder to start from, {self.path}",
                    "record with the same cap, or train from fresh weights, without --from",
                )
            raise ConfigError(
                f"the epochs have {words}: {found}",
                f"{expected}, as the decoder to start from, {self.path}",
                "preprocess them as its epochs were (necomimi preprocess), or train without --from",
            )
        gallery.require_space(self.decoder.base_space or self.decoder.space)

    def weights(self, people: Sequence[str]) -> Weights:
        """Return what to begin with.

        Parameters
        ----------
        people : sequence of str
            Whose epochs it will learn from, in the order of the new encoder's layers.
        """
        state = {name: tensor.detach().cpu().clone() for name, tensor in self.decoder.encoder.state_dict().items()}
        layers = self.decoder.encoder.subject_wise_linear
        if layers is None and len(people) > 1:
            raise ConfigError(
                f"several people, and {self.path} is of one person",
                "one new person, or a decoder of several people to start from",
                "fine-tune for each of them",
            )
        shared = {name: tensor for name, tensor in state.items() if not name.startswith(LAYERS)}
        weights: Weights = {"encoder": {**shared, **_layers(state, list(self.decoder.subjects), people)}}
        if self.decoder.adapter is not None:
            weights["adapter"] = {k: v.detach().cpu().clone() for k, v in self.decoder.adapter.state_dict().items()}
        return weights


def _layers(state: dict[str, Tensor], known: Sequence[str], people: Sequence[str]) -> dict[str, Tensor]:
    """Return the layers of new people: each one's own, or else the mean of those of the known people."""
    found: dict[str, Tensor] = {}
    for part in ("weight", "bias"):
        layers = [tensor for name, tensor in state.items() if name.startswith(LAYERS) and name.endswith(f".{part}")]
        if not layers:
            return {}
        for i, name in enumerate(people):
            own = known.index(name) if name in known and len(layers) == len(known) else None
            found[f"{LAYERS}{i}.{part}"] = torch.stack(layers).mean(dim=0) if own is None else layers[own]
    return found
