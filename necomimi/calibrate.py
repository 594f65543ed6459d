"""Make a decoder for the person wearing the cap: pictures, LSL streams -> recording, decoder and an honest verdict.

Each step is a program of its own and is skipped where what it makes is there, so that a calibration that was ended or
killed goes on when the same command is given again.
"""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer

from necomimi.checkpoint import read_config
from necomimi.console import console
from necomimi.errors import ConfigError
from necomimi.markers import PRESENTER_PREFIX
from necomimi.montage import canonical_name
from necomimi.picture_folder import picture_files
from necomimi.programs import ProgramError, Programs, free_port, has_display, private_session, run_step
from necomimi.rehearsal import Rehearsal
from necomimi.sequence import Paradigm, draw_sequences
from necomimi.spaces import Space

__all__ = ["Plan", "command", "expected_minutes"]

PICTURES, REPETITIONS = 200, 10
STREAM_TIMEOUT_S = 60.0
RECORDER_TIMEOUT_S = 30.0
SIGNAL_S = 6.0
PRESENTER, END = "necomimi-present", f"{PRESENTER_PREFIX}end"  # the presenter's markers, and the last of them
POLL_S = 0.1
# A rehearsal is short: its person has a strong signal and no need of long breaks.
REHEARSED_PICTURES, REHEARSED_REPETITIONS = 120, 3
REHEARSED_BREAK_S, REHEARSED_SNR = 0.5, 8.0
N_STEPS = 6
DECODER_VERSION = 1  # of the directories that --from reads


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
            OUT holds a calibration with another plan.
        """
        path, now = out / "plan.json", asdict(self)
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if changed := [key for key in now if kept.get(key) != now[key]]:
                differences = ", ".join(f"{key} {now[key]!r} in place of {kept.get(key)!r}" for key in changed)
                raise ConfigError(
                    f"{out} holds a calibration, and now there is {differences}",
                    "the same options, to go on with it",
                    "another --out for another calibration",
                )
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")


def _embedding(model: str | None, base: Path | None) -> list[str]:
    """Return the options of ``necomimi embed`` that lead to the space of the decoder to fine-tune, or as asked for."""
    if base is None:
        return ["--model", model or "embedded"]
    fields = read_config(base, "decoder", DECODER_VERSION)
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
    return (shown + len(sequences) * (REHEARSED_BREAK_S if rehearse else paradigm.break_s)) / 60


@dataclass(frozen=True, kw_only=True)
class _Session:
    """The calibration in OUT: its plan, and how its programs are started."""

    plan: Plan
    out: Path
    pictures: Path
    windowed: bool
    eeg_name: str | None
    environment: dict[str, str]

    @property
    def eeg(self) -> list[str]:
        """The options that choose the EEG stream."""
        return [] if self.eeg_name is None else ["--eeg-name", self.eeg_name]

    def programs(self, name: str) -> Programs:
        """Return what starts programs whose remarks go to OUT/logs/NAME."""
        logs = self.out / "logs" / name
        logs.mkdir(parents=True, exist_ok=True)
        return Programs(logs, self.environment)

    def person(self, programs: Programs) -> None:
        """In a rehearsal start the simulated person, who looks at every picture of the calibration."""
        if self.plan.rehearse:
            programs.start(
                "person", "replay", f"subject:{self.pictures}", "--seed", self.plan.seed, "--snr", REHEARSED_SNR
            )

    def presenter(self, programs: Programs, folder: Path, repetitions: int, log: Path, *options: object) -> Any:
        """Start the presenter; in a rehearsal it goes on by itself."""
        if self.plan.rehearse:
            options = (*options, "--auto", "--break", REHEARSED_BREAK_S, "--long-break-every", 0)
        return programs.start(
            "present", "present", folder, "--repetitions", repetitions, "--seed", self.plan.seed, "--log", log,
            "--wait", STREAM_TIMEOUT_S, *options,
        )  # fmt: skip


def check_signal(session: _Session) -> list[str]:
    """Let the person putting on the cap, or this program alone, judge the signal; return the bad channels."""
    made, options = session.out / "signal.json", [*session.eeg, "--timeout", STREAM_TIMEOUT_S]
    title = f"2/{N_STEPS} checking the signal"
    if not made.exists():
        with session.programs("signal") as programs:
            session.person(programs)
            if session.windowed:
                accepted = session.out / "signal-accepted"  # nobody makes it: the window's exit status is the answer
                run_step(title, accepted, "signal", *options, environment=session.environment)
                title = "  writing down what it was judged to be"
            run_step(
                title, made, "signal", *options, "--seconds", SIGNAL_S, "--json",
                answer=True, statuses=(0, 1), environment=session.environment,
            )  # fmt: skip
    else:
        console.print(f"{title}: kept from an earlier run", markup=False)
    text = made.read_text(encoding="utf-8")
    found = json.loads(text) if text.strip() else None
    if found is None or not (found["ready"] or session.windowed):
        made.unlink()
        words = f"{found['n_good']} of {found['n_channels']} channels are good" if found else "no signal was judged"
        bad = f"; bad: {', '.join(found['bad'])}" if found else ""
        raise ProgramError(f"the signal is not ready: {words}{bad}", remedy="mend the cap, or --skip-signal")
    _require_channels(session.plan.base, [channel["name"] for channel in found["channels"]])
    if found["bad"]:
        console.print(f"  bad: {', '.join(found['bad'])}", markup=False)
    return [str(name) for name in found["bad"]]


def _require_channels(base: str, names: Sequence[str]) -> None:
    """Make sure, before anybody looks at pictures for it, that a decoder can be fine-tuned with this cap.

    Raises
    ------
    ProgramError
        The decoder wants channels that the stream has not.
    """
    if not base:
        return
    wanted = read_config(Path(base), "decoder", DECODER_VERSION)["preprocessing"]["ch_names"]
    there = {canonical_name(name) for name in names}
    if missing := [name for name in wanted if canonical_name(name) not in there]:
        raise ProgramError(
            f"the cap lacks {len(missing)} of the {len(wanted)} channels of {base}: {', '.join(missing)}",
            remedy="another cap, or a calibration without --from under another --out",
        )


@contextmanager
def _step(title: str) -> Iterator[None]:
    """Name the step in what goes wrong within it."""
    try:
        yield
    except ProgramError as error:
        raise ProgramError(f"{title}: {error.found}", error.expected, error.remedy) from error


def record(session: _Session, shown: Path) -> Path:
    """Present the pictures of a folder while the EEG and the presenter's markers are recorded; return the recording."""
    made, plan = session.out / "presentation", session.plan
    title = f"3/{N_STEPS} presenting and recording"
    recording = made / "recording.xdf"
    if made.exists():
        console.print(f"{title}: kept from an earlier run", markup=False)
        return recording
    console.print(title, markup=False)
    partial = _fresh(session.out / "presentation.partial")
    log = partial / "presentation_events.tsv"
    with _step(title), session.programs("presentation") as programs:
        recorder = programs.start(
            "record", "record", partial / recording.name, *session.eeg, "--markers-name", PRESENTER,
            "--timeout", STREAM_TIMEOUT_S, "--until", END,
        )  # fmt: skip
        session.person(programs)
        presenter = session.presenter(programs, shown, plan.repetitions, log, "--limit", plan.limit)
        while presenter.poll() is None:
            programs.check()
            time.sleep(POLL_S)
        programs.finish("present")
        deadline = time.monotonic() + RECORDER_TIMEOUT_S
        while recorder.poll() is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
        programs.finish("record")
        if plan.rehearse:
            programs.finish("person")
    n_wanted = plan.repetitions * min(plan.limit, len(picture_files(shown)))
    if (n_shown := _count_shown(log)) < n_wanted:
        console.print(
            f"  ended early: {n_shown} of {n_wanted} pictures were shown, and these are taken", style="yellow"
        )
    partial.rename(made)
    return recording


def _fresh(folder: Path) -> Path:
    """Return a new folder of this name; what a broken presentation has recorded is kept under another."""
    if folder.is_dir() and any(folder.glob("*.xdf")):
        kept = next(path for i in count(1) if not (path := folder.with_name(f"presentation.broken-{i}")).exists())
        folder.rename(kept)
        console.print(f"  an earlier presentation did not come to its end: {kept}", markup=False)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _count_shown(log: Path) -> int:
    """Return how many times a picture was shown, by the presenter's log."""
    with log.open(encoding="utf-8", newline="") as file:
        return sum(row["trial_type"] == "stimulus" for row in csv.DictReader(file, delimiter="\t"))


def make_decoder(session: _Session, recording: Path, bads: list[str]) -> tuple[Path, dict[str, Any]]:
    """Preprocess, train and cross-validate; return the decoder directory and what cross-validation found."""
    plan, out = session.plan, session.out
    gallery, epochs, decoder, judged = (
        out / name for name in ("gallery", "epochs", "decoder", "cross-validation.json")
    )
    like = ["--like", plan.base] if plan.base else []
    bad = ["--bad", ",".join(bads)] if bads else []
    run_step(
        f"4/{N_STEPS} preprocessing" + (f", {', '.join(bads)} interpolated" if bads else ""), epochs,
        "preprocess", recording, epochs, "--gallery", gallery, *bad, *like,
    )  # fmt: skip
    start = ["--from", plan.base] if plan.base else []
    run_step(
        f"5/{N_STEPS} {'fine-tuning ' + plan.base if plan.base else 'training'}", decoder,
        "train", "encoder", epochs, decoder, "--gallery", gallery, "--single", "--seed", plan.seed, *start,
    )  # fmt: skip
    run_step(
        f"6/{N_STEPS} training {plan.folds} times more, each without a part of the pictures", judged,
        "evaluate", decoder, epochs, "--gallery", gallery, "--cross-validate", plan.folds, "--json", answer=True,
    )  # fmt: skip
    return decoder, json.loads(judged.read_text(encoding="utf-8"))


def prove(session: _Session, rehearsal: Rehearsal, decoder: Path, seconds: float) -> dict[str, Any]:
    """Present pictures that had no part in the calibration while they are decoded; return the live accuracy."""
    gallery, made = session.out / "gallery-live", session.out / "live.json"
    run_step(
        "rehearsal: embedding the pictures kept for the proof", gallery,
        "embed", rehearsal.live, gallery, *session.plan.embed,
    )  # fmt: skip
    log = session.out / "logs" / "live" / "decisions.jsonl"
    if not made.exists():
        title = f"rehearsal: decoding live for about {seconds:g} s"
        console.print(title)
        with _step(title), session.programs("live") as programs:
            events = log.with_name("live_events.tsv")
            for old in (log, events, events.with_suffix(".json")):
                old.unlink(missing_ok=True)
            session.person(programs)
            programs.start(
                "decode", "decode", decoder, "--gallery", gallery, "--log", log, "--timeout", STREAM_TIMEOUT_S,
                "--feed", f"tcp://127.0.0.1:{free_port()}", "--markers-name", PRESENTER,
            )  # fmt: skip
            n_live = len(picture_files(rehearsal.live))
            repetitions = max(1, round(seconds / (60 * expected_minutes(n_live, 1))))
            presenter = session.presenter(programs, rehearsal.live, repetitions, events)
            while presenter.poll() is None:
                programs.check()
                time.sleep(POLL_S)
            for name in ("present", "decode", "person"):
                programs.finish(name)
    run_step("rehearsal: judging the live answers", made, "evaluate", "--decisions", log, "--json", answer=True)
    return dict(json.loads(made.read_text(encoding="utf-8")))


def run(session: _Session, live_seconds: float, *, skip_signal: bool) -> None:
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
        f"{expected_minutes(n_shown, plan.repetitions, rehearse=plan.rehearse):.0f} minutes and breaks",
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
        typer.Option(help="Embedder of the pictures, as of necomimi embed; by default --from's, or embedded."),
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
        embed=_embedding(model, base),
        base="" if base is None else str(base.absolute()),
        folds=folds,
        rehearse=rehearse,
    )
    plan.keep(out)
    environment = {"QT_QPA_PLATFORM": "offscreen"} if headless else {}
    if rehearse:
        environment |= private_session(out, "necomimi-rehearsal")
    session = _Session(
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
