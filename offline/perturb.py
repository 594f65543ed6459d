"""Perturb channels: decoders, epochs of people -> what each finds before and after, and which channels matter."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from necomimi.console import console, output, progress
from necomimi.errors import ConfigError, DatasetError
from necomimi.report import require_folders

from .evaluate import parse_repetition

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from necomimi.decoder import Decoder
    from necomimi.epochs import Epochs, EpochSet

    from .matching import Person
    from .perturb_pictures import BeforeAndAfter
    from .perturbation import Condition

__all__ = ["Case", "command", "find_cases", "perturb"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One person's epochs and the decoder for them.

    Parameters
    ----------
    name : str
        Of the person, or of the epochs directory.
    path : Path
        Of the decoder.
    decoder : Decoder
        It decodes this person.
    epochs : Epochs
    part : EpochSet
        The split that is judged.
    split : {"test", "train"}
    person : Person
    """

    name: str
    path: Path
    decoder: Decoder
    epochs: Epochs
    part: EpochSet
    split: str
    person: Person


def find_cases(decoders: Path, epochs: Path, gallery: Path | None, split: str, device: str) -> list[Case]:
    """Return each person's epochs with the decoder for them, after all that can be checked before the work.

    Parameters
    ----------
    decoders : Path
        A decoder directory, for everybody's epochs; or a folder of decoders that have the people's names.
    epochs : Path
        An epochs directory, or a folder of them.
    gallery : Path or None
        Searched in place of the decoders' own.
    split : {"test", "train"}
    device : str

    Raises
    ------
    ConfigError
        Epochs were made with other preprocessing than the decoder's, or channels or galleries are not all the same.
    DatasetError
        There are no epochs or no decoders, or somebody has none.
    """
    from necomimi.decoder import Decoder
    from necomimi.gallery import Gallery

    from .judgement import searched
    from .matching import choose_split, match_person
    from .sweep_plan import find_subjects

    people = find_subjects(epochs)
    paths = {file.parent.name: file.parent for file in sorted(decoders.glob("*/encoder.safetensors"))}
    if (decoders / "encoder.safetensors").is_file() or not decoders.is_dir():
        paths = dict.fromkeys(people, decoders)
    without = [name for name in people if name not in paths]
    if without:
        raise DatasetError(
            f"{decoders} has no decoder for {', '.join(without)}; it holds {', '.join(paths) or 'none'}",
            "one decoder directory, or one for each person, named as the epochs' person is",
        )
    left_out = [name for name in paths if name not in people]
    if left_out:
        logger.warning("%s has no epochs for the decoders %s: left out", epochs, ", ".join(left_out))
    search = Gallery.load(gallery) if gallery is not None else None
    cases = []
    for name, data in people.items():
        model = Decoder.load(paths[name], device)
        part, person = choose_split(data, split), match_person(model, data)
        if search is not None:
            model.use_gallery(search)
        searched(model)
        cases.append(
            Case(name=name, path=paths[name], decoder=model, epochs=data, part=part, split=split, person=person)
        )
    for what in (_channels_of, _gallery_of):
        other = next((case for case in cases if what(case) != what(cases[0])), None)
        if other is not None:
            raise ConfigError(
                f"the decoders for {cases[0].name} and {other.name} have other {what(other)[0]}",
                "the same for all, so that means over people say something",
                "--gallery DIR, or one command for each" if what is _gallery_of else "one command for each",
            )
    return cases


def _channels_of(case: Case) -> tuple[Any, ...]:
    """Return what people's channels must have in common."""
    return "channels", case.decoder.preprocessor.ch_names


def _gallery_of(case: Case) -> tuple[Any, ...]:
    """Return what people's galleries must have in common."""
    assert case.decoder.gallery is not None
    return "galleries", case.decoder.gallery.file_hash, case.decoder.classes


def perturb(
    cases: Sequence[Case],
    chosen: Condition,
    *,
    repetitions: int | None,
    n_seeds: int,
    each: bool,
    features: Path | None = None,
    pictures: BeforeAndAfter | None = None,
) -> dict[str, Any]:
    """Measure what decoders lose when channels carry noise.

    Parameters
    ----------
    cases : sequence of Case
        Of `find_cases`.
    chosen : Condition
        Of `necomimi.offline.perturbation.choose_channels`.
    repetitions : int or None
        Presentations averaged before the noise and the encoding; None for all of a picture.
    n_seeds : int
        Draws of the noise.
    each : bool
        Disturb every region and every channel in turn, too.
    features : Path, optional
        A folder for embeddings in the form of `necomimi.offline.features`: ``NAME/undisturbed.safetensors``, and
        ``NAME/disturbed-SEED.safetensors`` of the chosen channels, with tables beside them.
    pictures : BeforeAndAfter, optional
        Painted from the undisturbed epochs, and from those with the first draw of the noise in the chosen channels.

    Returns
    -------
    dict
        "split", "channels" (names of those chosen), "name" (of the choice), "repetitions" (a number or "all"), "seeds"
        (draws), "gallery" (kind); "transductive_epochs" (whether anybody's whitening has seen the test epochs);
        "people", one per person: "subject", "subject_known", "decoder", "epochs", "source"; "rows", one per person and
        condition (`necomimi.offline.perturbation.measure`); "means", one per condition over people
        (`necomimi.offline.perturbation.over_people`), empty for one person.

    Raises
    ------
    ConfigError
        No picture has so many repetitions, or there are no classes to choose among.
    DatasetError
        A picture is not in the gallery.
    """
    from .averaging import average_part
    from .features import save_embeddings
    from .judgement import gallery_kind, searched
    from .perturbation import list_conditions, measure, over_people
    from .targets import find_targets

    gallery = searched(cases[0].decoder)
    items = [find_targets(case.part, gallery) for case in cases]  # all are looked up before the work
    conditions = list_conditions(cases[0].decoder.preprocessor.ch_names, chosen, each=each)
    rows: list[dict[str, Any]] = []
    with progress() as bar:
        task = bar.add_task("perturb", total=len(cases) * (1 + (len(conditions) - 1) * n_seeds))
        for case, found in zip(cases, items, strict=True):
            data, groups = average_part(case.part, repetitions)
            shown = found[[int(group[0]) for group in groups]]
            targets = gallery.item_classes[shown]

            def take(
                condition: Condition,
                seed: int,
                vectors: NDArray[np.float32],
                case: Case = case,
                groups: Any = groups,
                shown: NDArray[np.intp] = shown,
            ) -> None:
                bar.update(task, advance=1, description=f"{case.name}: {condition.name}")
                if pictures is not None and seed == 0 and condition.kind in ("before", "chosen"):
                    when = "noise" * (condition.kind == "chosen")
                    pictures.add(f"{case.name} {when}".strip(), case.decoder, shown, vectors)
                if features is not None and condition.kind in ("before", "chosen"):
                    name = "undisturbed" if condition.kind == "before" else f"disturbed-{seed}"
                    facts = {"decoder": str(case.path), "split": case.split, "subject": case.person.name}
                    facts |= {"disturbed": ",".join(condition.ch_names), "seed": str(seed)}
                    out = features / case.name / f"{name}.safetensors"
                    save_embeddings(out, vectors, case.decoder, case.epochs, case.part, groups, facts)

            rows += measure(
                case.decoder, data, targets, conditions, subject=case.name, n_seeds=n_seeds, on_embedded=take
            )
    return {
        "split": cases[0].split,
        "channels": list(chosen.ch_names),
        "name": chosen.name,
        "repetitions": repetitions or "all",
        "seeds": n_seeds,
        "gallery": gallery_kind(gallery, cases[0].part),
        "transductive_epochs": any(case.epochs.transductive for case in cases),
        "people": [
            {
                "subject": case.name,
                "subject_known": case.person.known,
                "decoder": str(case.path),
                "epochs": str(case.epochs.path),
                "source": case.epochs.source,
            }
            for case in cases
        ],
        "rows": rows,
        "means": over_people(rows),
    }


def command(
    decoders: Annotated[
        Path, typer.Argument(metavar="DECODERS", help="A decoder directory, or a folder of one for each person.")
    ],
    epochs: Annotated[Path, typer.Argument(metavar="EPOCHS", help="Epochs of one person, or a folder of people.")],
    channels: Annotated[
        str | None, typer.Option(help="Channels to disturb, such as Oz,O1; those over visual cortex by default.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Regions to disturb instead, such as occipital.")] = None,
    gallery: Annotated[Path | None, typer.Option(help="Gallery to search; the decoder's own by default.")] = None,
    split: Annotated[str, typer.Option(help="test or train.")] = "test",
    repetitions: Annotated[
        str | None, typer.Option(help="Presentations behind an answer: a number, or all, which is usual for pictures.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of the noise.")] = 5,
    each: Annotated[bool, typer.Option(help="Disturb every region and every channel in turn, too.")] = True,
    features: Annotated[Path | None, typer.Option(help="Write embeddings, undisturbed and disturbed, here.")] = None,
    generator: Annotated[
        str | None, typer.Option(help="Show pictures in the report too, painted by this: embedded, sdxl-turbo, ...")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Folder of its weights, or hub id of another base model.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write every figure to this CSV file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report with topographies to this HTML file.")] = None,
) -> None:
    """Replace channels by Gaussian noise like their own, and show what trained decoders still find.

    A folder of decoders and one of epochs do all people in one run: a decoder belongs to the epochs of its name. The
    noise has each channel's mean and standard deviation over the epochs. Nothing is trained again.

    Example: necomimi perturb decoders subjects --report perturbation.html
    """
    from .perturb_report import perturb_report, tabulate_parts, tabulate_people
    from .perturbation import choose_channels
    from .sweep_tables import write_rows

    wanted = None if repetitions is None else parse_repetition(repetitions)
    if generator is not None and report is None:
        raise ConfigError("--generator without --report", "a report to show the pictures in: --report FILE.html")
    require_folders(csv, report)
    cases = find_cases(decoders, epochs, gallery, split, device)
    for case in cases:
        if not case.person.known:
            logger.warning("%s: %s", case.name, case.person.words)
    chosen = choose_channels(cases[0].decoder.preprocessor.ch_names, channels, region)
    if repetitions is None and not any(cases[0].part.pictures):
        wanted = 1
    pictures = None
    if generator is not None:
        from necomimi.generators import build_generator

        from .judgement import searched
        from .perturb_pictures import BeforeAndAfter

        painter = build_generator(generator, device, model=model, clip_norm=cases[0].decoder.clip_norm)
        pictures = BeforeAndAfter(painter, [case.decoder for case in cases], searched(cases[0].decoder))
    result = perturb(cases, chosen, repetitions=wanted, n_seeds=seeds, each=each, features=features, pictures=pictures)
    if csv is not None:
        write_rows(result["rows"], result["means"], csv)
    if report is not None:
        perturb_report(result, report, pictures)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        output.print(tabulate_people(result))
        if each:
            output.print(tabulate_parts(result))
    if report is not None:
        console.print(f"report: {report}")
