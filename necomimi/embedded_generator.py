"""The generator that needs no download: unit-norm embedding, seed -> a coarse picture at once, a finer one after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from necomimi.checkpoint import check_overwritable, read_config, whole_directory, write_config
from necomimi.device import channels_last, choose_device
from necomimi.errors import CheckpointError, ConfigError
from necomimi.generators import check_embeddings
from necomimi.picture_networks import PictureDecoder, PictureRefiner

__all__ = ["WEIGHTS_PATH", "EmbeddedGenerator", "GeneratorWeights", "build_embedded"]

WEIGHTS_PATH = Path(__file__).parent / "assets" / "embedded_generator"
WEIGHTS_NAME = "generator.safetensors"


@dataclass(eq=False, kw_only=True)
class GeneratorWeights:
    """The networks of an embedded generator, in memory and on disk.

    Parameters
    ----------
    space : str
        The embedder whose vectors it takes, of unit norm.
    size : int
        Height and width of the pictures in pixels.
    decoder : PictureDecoder
    refiner : PictureRefiner or None
    steps : int
        Passes through the refiner that it was judged with.
    training : dict
        How it was trained and what held-out pictures said; facts for the reader.
    """

    space: str
    size: int
    decoder: PictureDecoder
    refiner: PictureRefiner | None = None
    steps: int = 0
    training: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the directory, weights in half precision; an existing generator there is replaced."""
        check_overwritable(path, "generator")
        fields = {
            "space": self.space,
            "n_dims": self.decoder.n_dims,
            "size": self.size,
            "n_prototypes": len(self.decoder.prototypes),
            "widths": self.decoder.widths,
            "refiner_widths": None if self.refiner is None else self.refiner.widths,
            "steps": self.steps,
            "training": self.training,
        }
        state = self._modules().state_dict()
        with whole_directory(path) as partial:
            write_config(partial, "generator", fields)
            halves = {name: tensor.detach().cpu().half().contiguous() for name, tensor in state.items()}
            save_file(halves, partial / WEIGHTS_NAME)

    @classmethod
    def load(cls, path: Path) -> GeneratorWeights:
        """Read the directory, strictly.

        Raises
        ------
        CheckpointError
            It is absent, foreign or damaged.
        """
        config = read_config(path, "generator")
        remedy = "make it with: necomimi train generator OUT"
        try:
            n_dims, size, widths = int(config["n_dims"]), int(config["size"]), config["refiner_widths"]
            weights = cls(
                space=str(config["space"]),
                size=size,
                decoder=PictureDecoder(n_dims, int(config["n_prototypes"]), size, config["widths"]),
                refiner=None if widths is None else PictureRefiner(n_dims, widths),
                steps=int(config["steps"]),
                training=dict(config["training"]),
            )
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{path / 'config.json'} does not describe a generator: {error}", "what train generator wrote", remedy
            ) from error
        try:
            state = {name: tensor.float() for name, tensor in load_file(path / WEIGHTS_NAME).items()}
            weights._modules().load_state_dict(state, strict=True)
        except (OSError, SafetensorError, RuntimeError) as error:
            detail = " ".join(str(error).split())[:300]
            raise CheckpointError(
                f"the weights in {path} do not load: {detail}", "the weights of a generator of these sizes", remedy
            ) from error
        return weights

    def _modules(self) -> torch.nn.ModuleDict:
        """Return the networks under the names that their weights have on disk."""
        modules: dict[str, torch.nn.Module] = {"decoder": self.decoder}
        if self.refiner is not None:
            modules["refiner"] = self.refiner
        return torch.nn.ModuleDict(modules)


class EmbeddedGenerator:
    """A small decoder of a small picture world.

    Parameters
    ----------
    weights : GeneratorWeights
    device : torch.device
    steps : int, optional
        Passes through the networks: one for the coarse picture, the others make it finer; as it was judged by default.

    Raises
    ------
    ConfigError
        More than one step, and there is no network for more.
    """

    name = "embedded"

    def __init__(self, weights: GeneratorWeights, device: torch.device, steps: int | None = None) -> None:
        self.space, self.n_dims, self.size = weights.space, weights.decoder.n_dims, weights.size
        self.steps = 1 + weights.steps if steps is None else steps
        if self.steps < 1 or (self.steps > 1 and weights.refiner is None):
            raise ConfigError(
                f"{steps} steps of the embedded generator",
                "1 or more" if weights.refiner is not None else "1: it paints in one pass",
            )
        self.weights = weights
        self._device = device
        for module in (weights.decoder, weights.refiner):
            if module is not None:
                channels_last(module.eval().requires_grad_(False).to(device))

    def paint(self, embeddings: NDArray[np.float32], seeds: Sequence[int]) -> NDArray[np.uint8]:
        """Paint one picture from each embedding; see `necomimi.generators.Generator.paint`."""
        *_, last = self.stages(embeddings, seeds)
        return last

    def stages(self, embeddings: NDArray[np.float32], seeds: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """Yield the coarse pictures and, with more than one step, the finer ones."""
        check_embeddings(self, embeddings, seeds)
        vectors = torch.tensor(embeddings, dtype=torch.float32, device=self._device)
        with torch.inference_mode():
            coarse = self.weights.decoder(vectors)
            pixels = _pixels(coarse)
        yield pixels
        if self.steps == 1:
            return
        assert self.weights.refiner is not None
        with torch.inference_mode():
            noise = torch.empty(coarse.shape)
            for row, seed in zip(noise, seeds, strict=True):  # of the CPU: the same on every device
                row.normal_(generator=torch.Generator().manual_seed(int(seed)))
            pixels = _pixels(self.weights.refiner.sample(noise.to(self._device), coarse, vectors, self.steps - 1))
        yield pixels


def _pixels(pictures: torch.Tensor) -> NDArray[np.uint8]:
    """Return RGB (n, size, size, 3) from pictures (n, 3, size, size) about -1 to 1."""
    scaled = (pictures * 127.5 + 127.5).round().clamp(0, 255)
    return scaled.permute(0, 2, 3, 1).to(torch.uint8).contiguous().cpu().numpy()


def build_embedded(device: str = "auto", *, steps: int | None = None, model: str | None = None) -> EmbeddedGenerator:
    """Build the embedded generator.

    Parameters
    ----------
    device : {"auto", "cuda", "mps", "cpu"}
    steps : int, optional
        See `EmbeddedGenerator`.
    model : str, optional
        A folder that ``necomimi train generator`` wrote; the weights in the package by default.

    Raises
    ------
    ConfigError
        There are not so many steps, or there is no such device.
    CheckpointError
        The weights are missing or damaged.
    """
    place = choose_device(device)
    return EmbeddedGenerator(GeneratorWeights.load(WEIGHTS_PATH if model is None else Path(model)), place, steps)
