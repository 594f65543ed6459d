"""Report what was watched: DisplayState, picture of the window -> an HTML file that needs nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from necomimi.records import Refusal, Retrieval
from necomimi.report import Report

from .display_state import DisplayState
from .language import current_language, tr
from .latency import step_words
from .mark import Mark, Verdict
from .panel import readable
from .playback_bar import clock_time
from .reasons import reason_words

__all__ = ["N_DECISIONS", "Session", "write_session_report"]

N_DECISIONS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """When and what a window watched.

    Parameters
    ----------
    began : datetime
        When the window was opened, local time.
    seconds : float
        How long it has been open.
    recording : str
        The name of the recording that is played; "" for a decoder that runs.
    place : float
        Seconds from the beginning of the recording.
    n_lost : int
        Records lost on the way to the window.
    """

    began: datetime
    seconds: float
    recording: str = ""
    place: float = 0.0
    n_lost: int = 0


def write_session_report(path: Path, state: DisplayState, session: Session, png: bytes) -> None:
    """Write the report.

    Parameters
    ----------
    path : Path
        The HTML file.
    state : DisplayState
    session : Session
    png : bytes
        A picture of the window, the contents of a PNG file.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    report = Report(tr("Session of {began:%Y-%m-%d %H:%M}", began=session.began), language=current_language())
    report.table([tr("what was watched"), ""], _watched(state, session))
    report.picture(png, tr("the window at the end"))
    report.section(tr("Events"))
    _add_events(report, state)
    report.section(tr("Accuracy"))
    _add_accuracy(report, state)
    report.section(tr("Latency"))
    _add_latency(report, state)
    report.section(tr("EEG"))
    report.table([tr("signal"), ""], _signal(state))
    report.section(tr("Decisions"))
    _add_decisions(report, state)
    report.save(path)


def _watched(state: DisplayState, session: Session) -> list[tuple[str, str]]:
    """Return rows of what was watched, from where, and for how long."""
    rows = [(tr("began"), f"{session.began:%Y-%m-%d %H:%M:%S}"), (tr("duration"), clock_time(session.seconds))]
    if session.recording:
        rows.append(
            (tr("recording"), tr("{name}, at {place}", name=session.recording, place=clock_time(session.place)))
        )
    else:
        rows.append((tr("feed"), state.address))
    if state.eeg is not None:
        info = state.eeg.info
        rows.append((tr("stream"), tr("{name} ({source})", name=info.name, source=info.source_id or "–")))
    if state.status is not None:
        rows.append((tr("decoder"), tr("{n} classes", n=state.status.n_classes)))
    if state.gallery is not None:
        rows.append((tr("gallery"), tr("{n} classes", n=len(state.gallery.classes))))
    if session.n_lost:
        rows.append((tr("records lost on the way to the window"), f"{session.n_lost}"))
    return rows


def _add_events(report: Report, state: DisplayState) -> None:
    """Add the decoder's counts: events = retrievals + refusals + pending."""
    status = state.status
    if status is None:
        report.text(tr("The decoder has not said how many events there were."))
        return
    rows = [
        (tr("retrievals"), status.n_retrievals),
        (tr("refusals"), status.n_refusals),
        *((f"– {reason_words(reason)}", n) for reason, n in sorted(status.refusals.items(), key=lambda r: -r[1]) if n),
        (tr("pending"), status.n_pending),
    ]
    total = status.n_retrievals + status.n_refusals + status.n_pending
    caption = "" if total == status.n_events else tr("The parts make {n}.", n=total)
    report.table([tr("of this run of the decoder"), tr("number")], rows, caption, (tr("events"), status.n_events))


def _add_accuracy(report: Report, state: DisplayState) -> None:
    """Add top-1 and top-5 with interval and chance."""
    rows = []
    for score in state.accuracy.scores():
        low, high = score.interval
        value = "–" if score.value is None else f"{100 * score.value:.1f} %"
        interval = f"{100 * low:.1f}–{100 * high:.1f} %" if score.n else "–"
        chance = "–" if score.chance is None else f"{100 * score.chance:.3g} %"
        rows.append((f"top-{score.k}", value, interval, chance, score.n_hits, score.n))
    columns = ["", tr("accuracy"), tr("95 % interval"), tr("chance"), tr("found"), tr("scored")]
    notes = [tr("Of the final answers in this run of the decoder that this window has seen.")]
    if state.accuracy.n_unknown:
        notes.append(tr("{n} of other labels are not scored.", n=state.accuracy.n_unknown))
    report.table(columns, rows, "\n".join(notes))


def _add_latency(report: Report, state: DisplayState) -> None:
    """Add percentiles of the total and of each step."""
    percentiles = state.latency.percentiles()
    if not percentiles:
        report.text(tr("Nothing was decoded."))
        return
    rows = [(step_words(name), *(f"{value:.2f}" for value in values)) for name, values in percentiles.items()]
    caption = tr("Milliseconds from the last sample needed, over the last {n} decisions.", n=len(state.latency))
    report.table([tr("step"), "p50", "p95", "p99"], rows, caption)


def _signal(state: DisplayState) -> list[tuple[str, str]]:
    """Return rows of what is known of the EEG."""
    rows, status = [], state.status
    if state.eeg is not None:
        info = state.eeg.info
        rows.append((tr("channels"), f"{len(info.ch_names)}"))
        rows.append((tr("sampling rate"), f"{info.sfreq:g} Hz"))
        rows.append((tr("holes seen by the window"), f"{len(state.eeg.gaps)}"))
    if status is not None:
        share = 100 * status.n_missing / max(status.n_samples + status.n_missing, 1)
        rows.append((tr("state"), status.state))
        rows.append((tr("samples received"), f"{status.n_samples}"))
        rows.append((tr("samples missing"), f"{status.n_missing} ({share:.3g} %)"))
        rows.append((tr("drift"), f"{round(status.drift_ppm):+d} ppm".replace("-", "−")))
        rows.append((tr("jitter"), f"{status.jitter_ms:.1f} ms"))
        rows += [(tr("warning"), warning) for warning in status.warnings]
    return rows or [(tr("state"), tr("no EEG has come"))]


def _add_decisions(report: Report, state: DisplayState) -> None:
    """Add the newest decisions of this run, newest first."""
    decided = state.history.of_this_run()
    if not decided:
        report.text(tr("Nothing was decoded."))
        return
    shown = decided[-N_DECISIONS:][::-1]
    tally = Counter(mark.verdict for mark in decided)
    counts = ", ".join(f"{verdict_words(verdict)} {n}" for verdict, n in tally.most_common())
    columns = [tr("event"), tr("shown"), tr("best answer"), tr("probability"), tr("verdict")]
    caption = tr(
        "The last {n}, newest first. Of all {m} that the window remembers: {counts}.",
        n=len(shown),
        m=len(decided),
        counts=counts,
    )
    report.table(columns, [_row(mark) for mark in shown], caption)


def _row(mark: Mark) -> tuple[str, str, str, str, str]:
    """Return a decision's cells."""
    answer, best, probability = mark.answer, "–", "–"
    verdict = verdict_words(mark.verdict)
    if isinstance(answer, Retrieval) and answer.labels:
        best, probability = readable(answer.labels[0]), f"{answer.scores[0]:.3f}"
    if isinstance(answer, Refusal):
        verdict = f"{verdict}: {reason_words(answer.reason)}" + (f" ({answer.detail})" if answer.detail else "")
    return f"{mark.event.code}", readable(mark.event.label) or "–", best, probability, verdict


def verdict_words(verdict: Verdict) -> str:
    """Return what became of an event in the language that is spoken."""
    words: dict[Verdict, str] = {
        "pending": tr("pending"),
        "hit": tr("right"),
        "five": tr("among the five best"),
        "miss": tr("wrong"),
        "unscored": tr("not scored"),
        "refused": tr("refused"),
    }
    return words[verdict]
