"""Take over an encoder that the published scripts trained: .pth or .safetensors state dict -> decoder directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from necomimi.console import console
from necomimi.epochs import Epochs
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor
from necomimi.published_epochs import MODEL_CH_NAMES

if TYPE_CHECKING:
    from necomimi.decoder import Decoder

__all__ = ["PUBLISHED_SPACE", "command", "import_weights", "published_preprocessor"]

PUBLISHED_SPACE = "open_clip:ViT-H-14/laion2b_s32b_b79k"


def published_preprocessor() -> Preprocessor:
    """Return the preprocessing of the published epochs: 63 channels, 250 Hz, done by somebody else.

    A stream must come with baseline, resampling and whitening applied, as `necomimi replay` declares of such epochs.
    """
    return Preprocessor(
        ch_names=MODEL_CH_NAMES,
        sfreq=250.0,
        tmin=-0.2,
        tmax=1.0,
        baseline=(-0.2, 0.0),
        start=0.0,
        n_times=250,
        spatial=np.eye(len(MODEL_CH_NAMES), dtype=np.float32),
        applied=("baseline", "resample", "whiten"),
    )


def import_weights(file: Path, encoder: str, *, gallery: Path | None = None, epochs: Path | None = None) -> Decoder:
    """Make a decoder of published weights.

    Parameters
    ----------
    file : Path
        A state dict of the published scripts.
    encoder : str
        One of `necomimi.offline.published_weights.PUBLISHED`.
    gallery : Path, optional
        What the decoder searches; its space is taken for that of the weights.
    epochs : Path, optional
        Epochs directory whose preprocessing is taken; that of the published epochs by default.

    Raises
    ------
    CheckpointError
        The file cannot be read, or its tensors are not those of this encoder.
    ConfigError
        The encoder is unknown, or the space of the weights is.
    """
    from necomimi.decoder import Decoder

    from .published_weights import N_OUTPUTS, published_encoder, published_scale, read_state_dict

    preprocessor = published_preprocessor() if epochs is None else Epochs.load(epochs).preprocessor
    sizes = {"n_chans": len(preprocessor.ch_names), "n_times": preprocessor.n_times}
    model = published_encoder(read_state_dict(file), encoder, **sizes, source=file)
    found = None if gallery is None else Gallery.load(gallery)
    if found is None and model.n_outputs != N_OUTPUTS:
        raise ConfigError(
            f"{file} holds weights of {model.n_outputs} outputs, and no gallery says of which embedder",
            "--gallery, embeddings of the embedder that the weights were trained towards",
        )
    return Decoder(
        encoder_config={"name": encoder, **sizes, "n_outputs": model.n_outputs},
        encoder=model,
        preprocessor=preprocessor,
        space=PUBLISHED_SPACE if found is None else found.space,
        logit_scale=published_scale(model),
        gallery=found,
        clip_norm=None if found is None else found.clip_norm,
        training={"imported": file.name, "truncated": False},
    )


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A state dict: .pth of torch.save, or .safetensors.")],
    decoder: Annotated[Path, typer.Argument(metavar="DECODER", help="The decoder directory to make.")],
    encoder: Annotated[str, typer.Option(help="nice, muse, atms, nervformer or nerv.")],
    gallery: Annotated[Path | None, typer.Option(help="Gallery that the decoder searches.")] = None,
    epochs: Annotated[
        Path | None, typer.Option(help="Take the preprocessing of this epochs directory; the published by default.")
    ] = None,
) -> None:
    """Make a decoder of weights that the published scripts trained. No code in the file is run.

    Without --epochs it decodes published epochs (63 channels at 250 Hz, whitened), not raw streams.

    Example: necomimi import-weights sub-08.pth decoder --encoder atms --gallery test-gallery
    """
    made = import_weights(file, encoder, gallery=gallery, epochs=epochs)
    made.save(decoder)
    config = made.encoder_config
    console.print(
        f"{decoder}: {encoder}, {config['n_chans']} channels x {config['n_times']} samples -> {config['n_outputs']} "
        f"dimensions of {made.space}" + ("" if gallery else "; no gallery"),
        soft_wrap=True,
    )
