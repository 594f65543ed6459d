"""Make a decoder for the person wearing the cap: pictures, EEG -> recording, decoder, an honest verdict.

Each step is a program of its own and is skipped where what it makes is there, so that a calibration that was ended or
killed goes on when the same command is given again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from necomimi.calibration_plan import Plan, embedding_of, expected_minutes
from necomimi.calibration_steps import N_STEPS, Session, check_signal, make_decoder, prove, record
from necomimi.console import console
from necomimi.errors import ConfigError
from necomimi.picture_folder import picture_files
from necomimi.programs import ProgramError, has_display, private_session, run_step
from necomimi.rehearsal import Rehearsal

__all__ = ["command", "run"]

PICTURES, REPETITIONS = 200, 10
REHEARSED_PICTURES, REHEARSED_REPETITIONS = 120, 3


def run(session: Session, live_seconds: float, *, skip_signal: bool) -> None:
    """Do what is not done yet, and say what came of it.

    Raises
    ------
    ProgramError
        A step failed.
    """
    from necomimi.calibration_result import print_result, result_of, write_result

    plan, out = session.plan, session.out
    rehearsal = Rehearsal(session.pictures) if plan.rehearse else None
    shown = session.pictures
    if rehearsal is not None:
        rehearsal.draw(Path(plan.pictures) if plan.pictures else None, plan.limit, plan.seed)
        shown = rehearsal.training
    n_shown = min(plan.limit, len(picture_files(shown)))
    console.print(
        f"{n_shown} pictures, each shown {plan.repetitions} times: about "
        f"{expected_minutes(n_shown, plan.repetitions, rehearse=plan.rehearse):.1f} minutes and breaks",
        markup=False,
    )
    gallery = out / "gallery"
    run_step(f"1/{N_STEPS} embedding the pictures", gallery, "embed", shown, gallery, *plan.embed)
    bads = [] if skip_signal else check_signal(session)
    decoder, judged = make_decoder(session, record(session, shown), bads)
    live = None if rehearsal is None else prove(session, rehearsal, decoder, live_seconds)
    commands = (f"necomimi decode {decoder}", f"necomimi view --gallery {decoder}")
    result = result_of(judged, bads, live)
    write_result(result, out, commands)
    print_result(result, out, commands)


def command(
    pictures: Annotated[
        Path | None,
        typer.Argument(metavar="[PICTURES]", help="A folder of pictures, in folders by concept; a rehearsal has some."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where everything goes; given again, it goes on.")] = Path("calibration"),
    base: Annotated[
        Path | None, typer.Option("--from", metavar="DECODER", help="Fine-tune this decoder of other people.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=10, help=f"Show so many pictures; {PICTURES} by default.")] = None,
    repetitions: Annotated[
        int | None, typer.Option(min=1, help=f"How often each picture is shown; {REPETITIONS} by default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the order, of the training and, rehearsing, of the person.")] = 0,
    model: Annotated[
        str | None,
        typer.Option(help="Embedder, as of necomimi embed; by default that of --from, or embedded."),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts of the pictures, each tested by an encoder without it.")] = 5,
    eeg_name: Annotated[str | None, typer.Option(help="Name of the EEG stream, where there are several.")] = None,
    skip_signal: Annotated[bool, typer.Option("--skip-signal", help="Do not check the electrodes first.")] = False,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="With a simulated person in place of one, and a live proof at the end.")
    ] = False,
    live_seconds: Annotated[float, typer.Option(min=1.0, help="How long the proof lasts.")] = 20.0,
    headless: Annotated[bool, typer.Option("--headless", help="No windows: to rehearse unattended.")] = False,
) -> None:
    """Make a decoder for one person: check the signal, show pictures and record, train, and say how good it is.

    What is done is kept: after a break, or when something failed, the same command goes on. Exit status 0 means that
    there is a result, be it usable or not.

    Example: necomimi calibrate pictures/ --out calibration-sub-01
    """
    if pictures is None and not rehearse:
        raise ConfigError("no PICTURES", "a folder of pictures to show", "or rehearse: necomimi calibrate --rehearse")
    if headless and not rehearse:
        raise ConfigError("--headless without --rehearse", "a person, who has to see the pictures", "leave one out")
    if not (headless or has_display()):
        raise ConfigError("there is no display", "a graphical session", "--rehearse --headless needs none")
    plan = Plan(
        pictures="" if pictures is None else str(pictures.absolute()),
        limit=limit or (REHEARSED_PICTURES if rehearse else PICTURES),
        repetitions=repetitions or (REHEARSED_REPETITIONS if rehearse else REPETITIONS),
        seed=seed,
        embed=embedding_of(model, base),
        base="" if base is None else str(base.absolute()),
        folds=folds,
        rehearse=rehearse,
    )
    plan.keep(out)
    environment = {"QT_QPA_PLATFORM": "offscreen"} if headless else {}
    if rehearse:
        environment |= private_session(out, "necomimi-rehearsal")
    session = Session(
        plan=plan,
        out=out,
        pictures=out / "pictures" if rehearse else Path(plan.pictures),
        windowed=not headless,
        eeg_name=eeg_name,
        environment=environment,
    )
    try:
        run(session, live_seconds, skip_signal=skip_signal)
    except ProgramError as error:
        typer.echo(f"necomimi: {error}\nthen give the same command again: what is done is kept in {out}", err=True)
        raise typer.Exit(1) from error
