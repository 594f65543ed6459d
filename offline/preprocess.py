"""Make epochs directories: THINGS-EEG2 raw or published, THINGS-MEG, or any recording -> epochs directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from necomimi.console import console
from necomimi.errors import ConfigError, DatasetError, NecomimiError
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor
from necomimi.things_eeg2 import is_raw_root, preprocessed_path, subjects

from .cutting import DEFAULT_WINDOW, Window
from .published_set import convert_published
from .recorded import preprocess_recording
from .subject_numbers import numbers_in
from .things_meg import meg_subjects, preprocess_meg
from .things_raw import preprocess_things
from .whitening import WHITEN, Whiten

__all__ = ["command", "preprocess_subjects"]

Job = Callable[[Path, int], object]  # (OUT, number of the subject)


def preprocess_subjects(out: Path, numbers: tuple[int, ...], job: Job) -> list[str]:
    """Make one epochs directory for each subject, ``out/sub-XX``; one that fails does not hold up the others.

    Parameters
    ----------
    out : Path
    numbers : tuple of int
    job : callable
        (epochs directory, number of the subject): makes one.

    Returns
    -------
    list of str
        What failed, and why, by the name of the subject.
    """
    problems = []
    for number in numbers:
        name = f"sub-{number:02d}"
        try:
            job(out / name, number)
        except (NecomimiError, OSError) as error:
            problems.append(f"{name}: {error}")
            console.print(problems[-1], style="red", markup=False, soft_wrap=True)
    return problems


def _job(source: Path, window: Window, whiten: Whiten, published: bool) -> tuple[Job, tuple[int, ...]]:
    """Return what makes a subject's epochs directory out of a data set, and which subjects the data set has."""
    numbers = subjects(source)
    has_published = any(preprocessed_path(source, number, "training").is_file() for number in numbers)
    if is_raw_root(source) and not published:
        return lambda out, number: preprocess_things(source, out, subject=number, window=window, whiten=whiten), numbers
    if (meg := meg_subjects(source)) and not published:
        if window != DEFAULT_WINDOW:
            raise ConfigError("options of the window with THINGS-MEG", "0 to 1 s at 200 Hz, as its epochs have it")
        return lambda out, number: preprocess_meg(source, out, subject=number, whiten=whiten), meg
    if has_published:
        if window != DEFAULT_WINDOW or whiten != "pooled":
            raise ConfigError(
                "options of the window or --whiten with published epochs",
                "none: they are cut and whitened already",
                "preprocess the raw files",
            )
        return lambda out, number: convert_published(source, out, subject=number), numbers
    raise DatasetError(
        f"{source} holds no {'published' if published else 'known'} data",
        "sub-XX/preprocessed_eeg_training.npy"
        if published
        else "sub-XX/ses-YY/raw_eeg_training.npy or sub-XX/preprocessed_eeg_training.npy (THINGS-EEG2), "
        "derivatives/preprocessed/preprocessed_PX-epo.fif (THINGS-MEG), or a recording file",
    )


def _preprocessing_of(decoder: Path, window: Window) -> Preprocessor:
    """Return what a decoder does to its epochs."""
    if window != DEFAULT_WINDOW:
        raise ConfigError("options of the window with --like", "one or the other")
    from necomimi.decoder_files import read_preprocessing  # and torch with it

    return read_preprocessing(decoder)


def command(
    source: Annotated[
        Path, typer.Argument(metavar="RAW", help="The folder of THINGS-EEG2 or THINGS-MEG, or a recording file.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The epochs directory to make.")],
    subject: Annotated[
        str, typer.Option(help="Data set: which subject; of several (1-3,5 or all) each gets its OUT/sub-XX.")
    ] = "1",
    tmin: Annotated[float, typer.Option(help="First sample, s from the onset.")] = -0.2,
    tmax: Annotated[float, typer.Option(help="Last sample, s from the onset.")] = 1.0,
    start: Annotated[float, typer.Option(help="First sample the model sees, s from the onset.")] = 0.0,
    sfreq: Annotated[float, typer.Option(help="The model's rate in Hz; at most the recording's.")] = 250.0,
    baseline: Annotated[bool, typer.Option(help="Subtract each channel's mean before the onset.")] = True,
    whiten: Annotated[
        str,
        typer.Option(
            help="pooled, session, none; or transductive: per session, test epochs included, as the original has it."
        ),
    ] = "pooled",
    published: Annotated[
        bool, typer.Option("--published", help="Take published epochs even where raw files lie beside them.")
    ] = False,
    test_from: Annotated[
        float | None, typer.Option(help="Recording: events from this second on are the test set.")
    ] = None,
    gallery: Annotated[
        Path | None, typer.Option(help="Recording: the gallery of the pictures that its events name.")
    ] = None,
    bad: Annotated[
        str | None, typer.Option(metavar="CHANNELS", help="Recording: channels to interpolate, such as Fp1,T8.")
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="DECODER", help="Recording: with the channels, window and rate of this decoder."),
    ] = None,
) -> None:
    """Cut, resample and whiten recordings into an epochs directory; after a break the same command goes on.

    Example: necomimi preprocess recording.fif epochs/ --test-from 120
    """
    if whiten not in WHITEN:
        raise ConfigError(f"--whiten {whiten!r}", ", ".join(WHITEN))
    window = Window(tmin=tmin, tmax=tmax, start=start, sfreq=sfreq, baseline=baseline)
    if not source.is_dir():
        if published:
            raise ConfigError(f"--published with the recording {source}", "a data set's folder, or no such option")
        pictures = None if gallery is None else Gallery.load(gallery, thumbnails=False)
        bads = [name.strip() for name in (bad or "").split(",") if name.strip()]
        preprocess_recording(
            source, out, window=window, whiten=whiten, test_from=test_from, gallery=pictures, bads=bads,
            like=None if like is None else _preprocessing_of(like, window),
        )  # fmt: skip
        return
    if test_from is not None:
        raise ConfigError("--test-from is for recordings", "THINGS-EEG2 and THINGS-MEG have their own test sets")
    if gallery is not None or bad is not None or like is not None:
        raise ConfigError("--gallery, --bad or --like with a data set", "a recording file, or no such option")
    job, found = _job(source, window, whiten, published)
    numbers = found if subject == "all" else numbers_in(subject)
    if not numbers:
        raise ConfigError(f"--subject {subject}", "a number, several such as 1-3,5, or all")
    if subject.strip().isdigit():
        job(out, numbers[0])
    elif problems := preprocess_subjects(out, numbers, job):
        console.print(f"{len(problems)} of {len(numbers)} subjects failed:", style="red")
        for problem in problems:
            console.print(problem.splitlines()[0], style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1)
