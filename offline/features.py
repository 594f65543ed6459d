"""Embeddings for other tools: decoder, epochs -> a file of unit-norm vectors and a table of what each is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from necomimi.console import console
from necomimi.errors import ConfigError

from .evaluate import parse_repetition
from .table_files import write_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from necomimi.decoder import Decoder
    from necomimi.epochs import Epochs, EpochSet

__all__ = ["command", "save_embeddings", "write_features"]


def write_features(
    decoder: Path,
    epochs: Path,
    out: Path,
    *,
    split: str = "test",
    repetitions: int | None = 1,
    gallery: Path | None = None,
    device: str = "auto",
) -> tuple[int, int, str]:
    """Write the embeddings of a split, and beside them a table with the same name and the suffix ``.tsv``.

    The table has a line per embedding: "label", "picture", and "epochs", the numbers (from 0, separated by commas) of
    the lines of the split's own table whose mean it is of.

    Parameters
    ----------
    decoder, epochs : Path
        Directories.
    out : Path
        ``.safetensors``: "embeddings", float32 of shape (n, n_dims), unit norm; its metadata say the embedding space,
        decoder, epochs, split and person. ``.npy``: the embeddings alone.
    split : {"test", "train"}
    repetitions : int or None
        Presentations averaged before encoding, no presentation twice; None for all of a picture.
    gallery : Path, optional
        With ``.safetensors``: adds "candidates", float32 of shape (n_items, n_dims), "targets", int64 of shape (n,),
        the candidate that each embedding should be nearest to, and the table ``OUT.candidates.tsv`` of their labels and
        files.
    device : str

    Returns
    -------
    n, n_dims : int
    words : str
        What to say of the person, as `necomimi.offline.matching.Person.words`.

    Raises
    ------
    ConfigError
        The suffix is another, the split is absent, no picture has so many repetitions, or the epochs were made with
        other preprocessing than the decoder's.
    DatasetError
        A picture is not in the gallery.
    """
    from necomimi.decoder import Decoder
    from necomimi.epochs import Epochs
    from necomimi.gallery import Gallery

    from .averaging import average_part
    from .matching import choose_split, match_person

    if out.suffix not in (".safetensors", ".npy"):
        raise ConfigError(f"OUT {str(out)!r}", "a name that ends in .safetensors or .npy")
    if gallery is not None and out.suffix == ".npy":
        raise ConfigError("--gallery with a .npy file", "OUT.safetensors, which holds several arrays")
    data, model = Epochs.load(epochs), Decoder.load(decoder, device)
    part = choose_split(data, split)
    person = match_person(model, data)
    if gallery is not None:
        model.use_gallery(Gallery.load(gallery, thumbnails=False))
    array, groups = average_part(part, repetitions)
    embeddings = model.embed(array)
    facts = {"decoder": str(decoder), "split": split, "subject": person.name}
    save_embeddings(out, embeddings, model, data, part, groups, facts, search=gallery is not None)
    return *embeddings.shape, person.words


def save_embeddings(
    out: Path,
    embeddings: NDArray[np.float32],
    model: Decoder,
    data: Epochs,
    part: EpochSet,
    groups: Sequence[NDArray[np.int64]],
    facts: Mapping[str, str],
    *,
    search: bool = False,
) -> None:
    """Write embeddings and their table in the form that `write_features` describes.

    Parameters
    ----------
    out : Path
        In a folder that is made where it is absent.
    embeddings : ndarray of float32, shape (n, n_dims)
    model : Decoder
        What made them.
    data : Epochs
    part : EpochSet
        The split of `data` that they are of.
    groups : sequence of ndarray of int
        Rows of `part` behind each.
    facts : mapping of str to str
        What else the metadata say.
    search : bool
        Add the model's gallery, and the targets in it.

    Raises
    ------
    DatasetError
        A picture is not in the gallery.
    """
    import numpy as np
    from safetensors.numpy import save_file

    from .targets import find_targets

    firsts = [int(group[0]) for group in groups]
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = (
        [part.labels[i], part.pictures[i], ",".join(map(str, group))] for i, group in zip(firsts, groups, strict=True)
    )
    if out.suffix == ".npy":
        np.save(out, embeddings)
    else:
        arrays: dict[str, Any] = {"embeddings": embeddings}
        if search:
            assert model.gallery is not None
            arrays["candidates"] = np.ascontiguousarray(model.gallery.embeddings)
            arrays["targets"] = find_targets(part, model.gallery)[firsts].astype(np.int64)
            pairs = zip(model.gallery.labels, model.gallery.files, strict=True)
            write_table(out.with_suffix(".candidates.tsv"), ("label", "file"), pairs, "\t")
        origin = {"space": model.space, "epochs": str(data.path), "transductive": str(data.transductive).lower()}
        save_file(arrays, out, metadata={**origin, **facts})
    write_table(out.with_suffix(".tsv"), ("label", "picture", "epochs"), lines, "\t")


def command(
    decoder: Annotated[Path, typer.Argument(metavar="DECODER", help="A decoder directory.")],
    epochs: Annotated[Path, typer.Argument(metavar="EPOCHS", help="An epochs directory.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="FILE.safetensors or FILE.npy; a FILE.tsv beside it.")],
    split: Annotated[str, typer.Option(help="test or train.")] = "test",
    repetitions: Annotated[str, typer.Option(help="Presentations averaged before encoding: a number, or all.")] = "1",
    gallery: Annotated[Path | None, typer.Option(help="Add this gallery's embeddings and each row's target.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
) -> None:
    """Write the embeddings of a split, for other tools.

    Example: necomimi features decoder epochs features.safetensors --repetitions all
    """
    wanted = parse_repetition(repetitions)
    with console.status("encoding"):
        n, n_dims, words = write_features(
            decoder, epochs, out, split=split, repetitions=wanted, gallery=gallery, device=device
        )
    if words:
        console.print(words)
    console.print(f"{out}: {n} embeddings of {n_dims} dimensions")
