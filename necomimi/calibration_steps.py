"""Take the steps of a calibration, each by other programs: plan, LSL streams -> recording, decoder, live proof."""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from necomimi.calibration_plan import BREAK_S, Plan, base_config, expected_minutes
from necomimi.console import console
from necomimi.markers import PRESENTER_NAME, PRESENTER_PREFIX
from necomimi.montage import canonical_name
from necomimi.picture_folder import picture_files
from necomimi.programs import ProgramError, Programs, free_port, run_step
from necomimi.rehearsal import Rehearsal

__all__ = ["N_STEPS", "Session", "check_signal", "make_decoder", "prove", "record"]

STREAM_TIMEOUT_S = 60.0
RECORDER_TIMEOUT_S = 30.0
SIGNAL_S = 6.0
END = f"{PRESENTER_PREFIX}end"  # the presenter's last marker
POLL_S = 0.1
SNR = 8.0  # of the simulated person: few pictures must do
N_STEPS = 6


@dataclass(frozen=True, kw_only=True)
class Session:
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
            programs.start("person", "replay", f"subject:{self.pictures}", "--seed", self.plan.seed, "--snr", SNR)

    def presenter(self, programs: Programs, folder: Path, repetitions: int, log: Path, *options: object) -> Any:
        """Start the presenter; in a rehearsal it goes on by itself."""
        if self.plan.rehearse:
            options = (*options, "--auto", "--break", BREAK_S, "--long-break-every", 0)
        return programs.start(
            "present", "present", folder, "--repetitions", repetitions, "--seed", self.plan.seed, "--log", log,
            "--wait", STREAM_TIMEOUT_S, *options,
        )  # fmt: skip


def check_signal(session: Session) -> list[str]:
    """Let the person putting on the cap, or this program alone, judge the signal; return the bad channels."""
    made, options = session.out / "signal.json", [*session.eeg, "--timeout", STREAM_TIMEOUT_S]
    title = f"2/{N_STEPS} checking the signal"
    if not made.exists():
        with session.programs("signal") as programs:
            session.person(programs)
            if session.windowed:
                accepted = session.out / "signal-accepted"  # nobody makes it: the window's exit status is the answer
                by_itself = ("--seconds", SIGNAL_S) if session.plan.rehearse else ()  # else the person says when
                run_step(title, accepted, "signal", *options, *by_itself, environment=session.environment)
                title = "  writing down what it was judged to be"
            run_step(
                title, made, "signal", *options, "--seconds", SIGNAL_S, "--json",
                answer=True, statuses=(0, 1), environment=session.environment,
            )  # fmt: skip
    else:
        console.print(f"{title}: kept from an earlier run", markup=False, soft_wrap=True)
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
    wanted = base_config(Path(base))["preprocessing"]["ch_names"]
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


def record(session: Session, shown: Path) -> Path:
    """Present the pictures of a folder while the EEG and the presenter's markers are recorded; return the recording."""
    made, plan = session.out / "presentation", session.plan
    title = f"3/{N_STEPS} presenting and recording"
    recording = made / "recording.xdf"
    if made.exists():
        console.print(f"{title}: kept from an earlier run", markup=False, soft_wrap=True)
        return recording
    console.print(title, markup=False, soft_wrap=True)
    partial = _fresh(session.out / "presentation.partial")
    log = partial / "presentation_events.tsv"
    with _step(title), session.programs("presentation") as programs:
        recorder = programs.start(
            "record", "record", partial / recording.name, *session.eeg, "--markers-name", PRESENTER_NAME,
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


def make_decoder(session: Session, recording: Path, bads: list[str]) -> tuple[Path, dict[str, Any]]:
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


def prove(session: Session, rehearsal: Rehearsal, decoder: Path, seconds: float) -> dict[str, Any]:
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
                "--feed", f"tcp://127.0.0.1:{free_port()}", "--markers-name", PRESENTER_NAME,
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
