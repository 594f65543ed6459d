"""Download the weights of a diffusion generator: licence shown, repositories -> one folder for each."""

from __future__ import annotations

from pathlib import Path

from necomimi.console import console
from necomimi.diffusion_choices import find_choice
from necomimi.errors import NecomimiError, missing_package

__all__ = ["download_generator"]


def download_generator(name: str, steps: int, out: Path) -> None:
    """Show the licence, then download what a generator needs into OUT/REPOSITORY; goes on after a break.

    Parameters
    ----------
    name : str
        One of `necomimi.diffusion_choices.CHOICES`.
    steps : int
        Distilled weights differ with the number of steps.
    out : Path
        The folder that `--model` takes afterwards.

    Raises
    ------
    ConfigError
        There is no such generator or number of steps.
    NecomimiError
        A package is missing, or the hub cannot be reached.
    """
    choice = find_choice(name)
    files = choice.files(steps)
    files[choice.base] += choice.text_files
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise missing_package("a download of weights", error, "diffusion") from error
    console.print(f"{name}, from {', '.join(files)}: about {choice.gigabytes:g} GB", markup=False, soft_wrap=True)
    console.print(f"licence: {choice.licence}", markup=False, soft_wrap=True)
    for repository, patterns in files.items():
        try:
            snapshot_download(repository, allow_patterns=list(patterns), local_dir=out / repository.rpartition("/")[2])
        except Exception as error:  # the hub and the network each raise errors of their own
            raise NecomimiError(
                f"{repository} cannot be had: {type(error).__name__}: {str(error)[:200]}",
                "a connection to https://huggingface.co (HF_ENDPOINT names a mirror)",
                "the same command again, which goes on from here; what has come stays",
            ) from error
    console.print(f"{out}: all there; use it as --generator {name} --model {out}", markup=False, soft_wrap=True)
