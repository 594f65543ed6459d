"""What paints pictures from embeddings: the name of a generator -> unit-norm vectors in, RGB pixels out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from necomimi.diffusion_choices import CHOICES
from necomimi.errors import ConfigError
from necomimi.plugins import find_plugin, plugin_names

__all__ = ["NAMES", "Generator", "StageChoice", "build_generator", "check_embeddings", "check_space", "generator_names"]

EMBEDDED = "embedded"
NAMES = (EMBEDDED, *CHOICES)
NORM_TOLERANCE = 1e-2
StageChoice = Literal["one", "two", "both"]  # paint the embedding, what the prior makes of it, or both


class Generator(Protocol):
    """Anything that paints pictures from embeddings.

    Attributes
    ----------
    name : str
    space : str
        The embedder whose space it takes, as galleries and decoders name it.
    n_dims : int
        Of that space.
    size : int
        Height and width of the pictures in pixels.
    steps : int
        Passes through the network for each picture.
    """

    name: str
    space: str
    n_dims: int
    size: int
    steps: int

    def paint(self, embeddings: NDArray[np.float32], seeds: Sequence[int]) -> NDArray[np.uint8]:
        """Paint one picture from each embedding; each depends on its own embedding and seed alone.

        Parameters
        ----------
        embeddings : ndarray of float32, shape (n, n_dims)
            Unit norm.
        seeds : sequence of int
            One for each picture.

        Returns
        -------
        ndarray of uint8, shape (n, size, size, 3)
            RGB.

        Raises
        ------
        ConfigError
            The embeddings are not finite, not of unit norm or of another shape, or the seeds do not match them.
        NecomimiError
            The device has too little memory.
        """

    def stages(self, embeddings: NDArray[np.float32], seeds: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """Paint as `paint` does, and yield each stage, of the same shape: coarse pictures first, its own last."""


def generator_names() -> tuple[str, ...]:
    """Return the names of our own generators, and of those that other installed packages bring."""
    return (*NAMES, *(name for name in plugin_names("generators") if name not in NAMES))


def build_generator(
    name: str,
    device: str = "auto",
    *,
    steps: int | None = None,
    size: int | None = None,
    model: str | None = None,
    random_weights: bool = False,
    clip_norm: float | None = None,
    scale: float = 1.0,
    compile: bool = False,
) -> Generator:
    """Build a generator from its name.

    The embedded generator, and those of other packages, have one size and weights of their own: they take `steps` and
    `model` alone.

    Parameters
    ----------
    name : str
        One of `NAMES`, or what another package offers by an entry point of the group ``necomimi.generators``: a
        callable that takes `device`, `steps` and `model`.
    device : {"auto", "cuda", "mps", "cpu"}
    steps : int, optional
        Passes through the networks; more are slower, and finer. What suits the generator where absent.
    size : int, optional
        Height and width in pixels, a multiple of 64; what the model is meant for where absent.
    model : str, optional
        A folder with one folder per repository of weights, or the hub id of another base model of the same
        architecture; the hub's cache where absent. Nothing is downloaded. For "embedded", a folder that
        ``necomimi train generator`` wrote; the weights in the package where absent.
    random_weights : bool
        Build without any file, for timing.
    clip_norm : float, optional
        Mean norm of the embedder's vectors before they were normalised; adapters were trained on those. 20, about what
        ViT-H-14 gives, where absent.
    scale : float
        Weight of the embedding against the (empty) prompt; 0 takes it away.
    compile : bool
        Compile the networks and replay them as CUDA graphs; a CUDA device only. The first pictures then take minutes.

    Raises
    ------
    ConfigError
        A name or setting is unknown or does not fit the others.
    CheckpointError
        Weights are missing, damaged or of another architecture.
    NecomimiError
        A package is missing, or the device has too little memory.
    """
    if name not in CHOICES:
        make: Callable[..., Generator] | None
        if name == EMBEDDED:
            from necomimi.embedded_generator import build_embedded as make
        else:
            make = find_plugin("generators", name)
        if make is None:
            raise ConfigError(f"generator {name!r}", f"one of {', '.join(generator_names())}")
        given = {"size": size is not None, "random_weights": random_weights, "scale": scale != 1, "compile": compile}
        if any(given.values()):
            others = ", ".join(option for option, is_given in given.items() if is_given)
            raise ConfigError(f"{others} for the generator {name}", "steps and model alone")
        return make(device=device, steps=steps, model=model)
    from necomimi.diffusion import build_diffusion

    n_steps = 1 if steps is None else steps
    return build_diffusion(
        name, device, steps=n_steps, size=size, model=model, random_weights=random_weights, clip_norm=clip_norm,
        scale=scale, compile=compile,
    )  # fmt: skip


def check_space(generator: Generator, space: str) -> None:
    """Refuse embeddings of another space than the generator's.

    Parameters
    ----------
    generator : Generator
    space : str
        Of the embeddings.

    Raises
    ------
    ConfigError
        Names both.
    """
    if space != generator.space:
        raise ConfigError(
            f"embeddings of the space {space}",
            f"{generator.space}, which the generator {generator.name} takes",
            "a decoder trained on a gallery of that space, or another generator",
        )


def check_embeddings(generator: Generator, embeddings: NDArray[np.float32], seeds: Sequence[int]) -> None:
    """Refuse embeddings that the generator would paint nonsense from.

    Parameters
    ----------
    generator : Generator
    embeddings : ndarray of float32, shape (n, n_dims)
    seeds : sequence of int

    Raises
    ------
    ConfigError
        The shape is another, a value is not finite, a norm is not 1, or there is not one seed for each.
    """
    expected = f"shape (n, {generator.n_dims}) with n from 1, for the generator {generator.name}"
    if embeddings.ndim != 2 or not len(embeddings) or embeddings.shape[1] != generator.n_dims:
        raise ConfigError(f"embeddings of shape {embeddings.shape}", expected)
    if len(seeds) != len(embeddings):
        raise ConfigError(f"{len(seeds)} seeds for {len(embeddings)} embeddings", "one for each")
    if not np.isfinite(embeddings).all():
        bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        raise ConfigError(
            f"embedding {bad[0]} for the generator {generator.name} holds a NaN or an infinite value",
            f"finite vectors of {generator.space}",
        )
    norms = np.linalg.norm(embeddings, axis=1)
    if (far := np.abs(norms - 1) > NORM_TOLERANCE).any():
        raise ConfigError(
            f"embedding {np.flatnonzero(far)[0]} has norm {norms[far][0]:.4g}", f"unit norm, of {generator.space}"
        )
