"""Start the other programs, each its own process: simulated subject -> trained decoder -> live session over LSL."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from necomimi import __version__
from necomimi.cache import user_cache
from necomimi.console import console, output
from necomimi.intervals import wilson
from necomimi.programs import ProgramError, Programs, free_port, has_display, private_session, run_step

__all__ = ["command", "default_cache", "prepare", "summarise"]

READY_TIMEOUT_S = 60.0
CACHE_VERSION = 4  # raise it when the simulated subject or its training changes
ENCODER = "multiblur"
GENERATOR = "embedded"


def default_cache() -> Path:
    """Return where the simulated subject and its decoder are kept."""
    return user_cache() / f"demo-{__version__}-{CACHE_VERSION}"


def prepare(cache: Path) -> Path:
    """Simulate, embed, preprocess, train and fit, as far as it is not done; return the decoder directory."""
    subject, epochs, decoder = cache / "subject", cache / "epochs", cache / "decoder"
    galleries = {split: cache / f"gallery-{split}" for split in ("training", "test")}
    cache.mkdir(parents=True, exist_ok=True)
    run_step("1/5 simulating a subject", subject, "simulate", subject, "--preset", "demo")
    for split, gallery in galleries.items():
        pictures = subject / "image_set" / f"{split}_images"
        run_step(f"2/5 embedding the {split} pictures", gallery, "embed", pictures, gallery)
    run_step("3/5 preprocessing", epochs, "preprocess", subject, epochs)
    run_step(
        "4/5 training the encoder", decoder, "train", "encoder", epochs, decoder, "--encoder", ENCODER, "--single",
        "--gallery", galleries["training"], "--test-gallery", galleries["test"],
    )  # fmt: skip
    prior = decoder / "prior"
    run_step("5/5 fitting the prior", prior, "train", "prior", decoder, epochs, "--gallery", galleries["training"])
    return decoder


def _read_decisions(path: Path) -> list[dict[str, Any]]:
    """Return the objects in a decision log; a last line that is still being written is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def run_live(cache: Path, decoder: Path, out: Path, seconds: float, windowed: bool, started: float) -> float:
    """Replay, decode and show for `seconds`; return seconds from `started` to the first decision."""
    log, feed = out / "decisions.jsonl", f"tcp://127.0.0.1:{free_port()}"
    screenshot, recording = out / "viewer.png", out / "session.feed"
    for old in (log, screenshot, recording):
        old.unlink(missing_ok=True)
    with Programs(out, private_session(out, "necomimi-demo")) as programs:
        programs.start("replay", "replay", cache / "subject", "--split", "test", "--loop", "--wait", READY_TIMEOUT_S)
        programs.start(
            "decode", "decode", decoder, "--log", log, "--feed", feed, "--timeout", READY_TIMEOUT_S,
            "--generator", GENERATOR, "--stage", "both",
        )  # fmt: skip
        deadline = time.monotonic() + READY_TIMEOUT_S + 10.0
        while not any("code" in line for line in _read_decisions(log)):
            programs.check()
            if time.monotonic() > deadline:
                raise ProgramError(f"no decision within {READY_TIMEOUT_S:g} s", remedy=f"see the logs in {out}")
            time.sleep(0.05)
        first_decision_s = time.monotonic() - started
        console.print(f"first decision after {first_decision_s:.1f} s; live for {seconds:g} s")
        qt = {} if windowed else {"QT_QPA_PLATFORM": "offscreen"}
        view = programs.start(
            "view", "view", "--feed", feed, "--gallery", decoder, "--seconds", seconds, "--screenshot", screenshot,
            "--record", recording, **qt,
        )  # fmt: skip
        deadline = time.monotonic() + seconds + READY_TIMEOUT_S
        while view.poll() is None and time.monotonic() < deadline:  # it ends by itself, or is closed by hand
            programs.check()
            time.sleep(0.1)
        for name in ("view", "replay", "decode"):
            programs.finish(name)
    return first_decision_s


def summarise(decisions: Sequence[dict[str, Any]], first_decision_s: float) -> dict[str, Any]:
    """Return what a run showed.

    Parameters
    ----------
    decisions : sequence of dict
        The objects of the decision log, the summary last.
    first_decision_s : float
        Seconds from the start to the first decision.
    """
    counts = next(item for item in reversed(decisions) if item["type"] == "summary")
    retrievals = [item for item in decisions if item["type"] == "retrieval"]
    n = len(retrievals)
    hits = {k: sum(item["label"] in item["labels"][:k] for item in retrievals) for k in (1, 5)}
    return {
        "n_events": counts["n_events"],
        "n_retrievals": counts["n_retrievals"],
        "n_refusals": counts["n_refusals"],
        "refusals": counts["refusals"],
        "n_classes": counts["n_classes"],
        "top1": hits[1] / n if n else None,
        "top5": hits[5] / n if n else None,
        "top1_interval": wilson(hits[1], n),
        "top5_interval": wilson(hits[5], n),
        "chance_top1": 1 / counts["n_classes"],
        "chance_top5": min(1.0, 5 / counts["n_classes"]),
        "n_pictures": counts["n_pictures"],
        "n_pictures_dropped": counts["n_pictures_dropped"],
        "latency_ms": counts["latency_ms"].get("total", {}),
        "preview_ms": counts["latency_ms"].get("preview", {}),
        "picture_ms": counts["latency_ms"].get("picture", {}),
        "first_decision_s": round(first_decision_s, 2),
    }


def _print_summary(summary: dict[str, Any], out: Path) -> None:
    """Print the figures of a run as a short table."""
    table = Table(box=None, show_header=False)
    table.add_row(
        "events", f"{summary['n_events']} = {summary['n_retrievals']} retrievals + {summary['n_refusals']} refusals"
    )
    for k in (1, 5):
        if summary[f"top{k}"] is not None:
            low, high = summary[f"top{k}_interval"]
            found, chance = summary[f"top{k}"], summary[f"chance_top{k}"]
            table.add_row(
                f"top-{k} of {summary['n_classes']} unseen concepts",
                f"{found:.1%} (chance {chance:.1%}; 95 % interval {100 * low:.1f}-{100 * high:.1f})",
            )
    if summary["latency_ms"]:
        figures = " / ".join(f"{summary['latency_ms'][p]:.1f}" for p in ("p50", "p95", "p99"))
        table.add_row("last sample to decision", f"{figures} ms (p50 / p95 / p99)")
    left_out = f"{summary['n_pictures_dropped']} left out or only coarse for a newer one"
    table.add_row("decisions painted", f"{summary['n_pictures']}, {left_out}")
    for name in ("preview", "picture"):
        if summary[f"{name}_ms"]:
            table.add_row(f"decision to {name}", f"{summary[f'{name}_ms']['p50']:.0f} ms (p50)")
    table.add_row("first decision", f"{summary['first_decision_s']:.1f} s after the start")
    table.add_row("written to", str(out))
    output.print(table)


def command(
    headless: Annotated[bool, typer.Option("--headless", help="No window; the viewer draws off screen.")] = False,
    seconds: Annotated[float, typer.Option(min=5.0, help="Length of the live session.")] = 60.0,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("demo-out"),
    cache: Annotated[Path | None, typer.Option(help="Where the subject and its decoder are kept.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Simulate and train again.")] = False,
) -> None:
    """Simulate a subject, train a decoder on it, then stream, decode, paint and show concepts it has never seen.

    Example: necomimi demo --headless --seconds 30 --out demo-out
    """
    started = time.monotonic()
    windowed = not headless
    if windowed and not has_display():
        console.print("no display here: going headless")
        windowed = False
    cache = cache or default_cache()
    if fresh:
        for part in ("subject", "gallery-training", "gallery-test", "epochs", "decoder"):
            shutil.rmtree(cache / part, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    decoder = prepare(cache)
    first_decision_s = run_live(cache, decoder, out, seconds, windowed, started)
    summary = summarise(_read_decisions(out / "decisions.jsonl"), first_decision_s)
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    _print_summary(summary, out)
