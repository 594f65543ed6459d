"""A calibration keeps to its plan, does nothing twice, and says in words what went wrong and what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from necomimi.calibrate import run
from necomimi.calibration_plan import Plan, embedding_of, expected_minutes
from necomimi.calibration_result import print_result, result_of, write_result
from necomimi.calibration_steps import Session, _fresh, _require_channels
from necomimi.checkpoint import write_config
from necomimi.errors import ConfigError, DatasetError
from necomimi.picture_folder import picture_files, picture_label
from necomimi.programs import ProgramError
from necomimi.rehearsal import N_LIVE, Rehearsal

PLAN = Plan(
    pictures="", limit=12, repetitions=4, seed=0, embed=["--model", "embedded"], base="", folds=2, rehearse=False
)
ROW = {"n_queries": 12, "n_classes": 6, "interval": "Wilson", "two_way": 0.7}
ROW |= {"top1": 0.5, "top1_interval": [0.3, 0.7], "chance_top1": 1 / 6}
ROW |= {"top5": 0.9, "top5_interval": [0.7, 1.0], "chance_top5": 5 / 6}
JUDGED = {
    "n_folds": 2, "n_ways": 6, "n_concepts": 12, "n_epochs": 48, "presentations": 4, "p": 0.001, "known_to_base": 0,
    "verdict": "usable", "usable": True, "sentence": "usable: <with> 4 presentations ...",
    "rows": [{"repetitions": 1, **ROW, "n_queries": 48}, {"repetitions": "all", **ROW}],
}  # fmt: skip


def write_pictures(folder: Path, n_concepts: int, n_pictures: int = 2) -> None:
    rng = np.random.default_rng(0)
    for number in range(n_concepts):
        place = folder / f"{number:05d}_concept{number}"
        place.mkdir(parents=True)
        for i in range(n_pictures):
            Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(place / f"{i}.png")


def calibrate(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "necomimi", "calibrate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def test_a_plan_is_kept_and_another_one_refused(tmp_path: Path) -> None:
    PLAN.keep(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "plan.json").read_text()) == asdict(PLAN)
    PLAN.keep(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"limit 13 in place of 12, seed 3 in place of 0[\s\S]*another --out"):
        replace(PLAN, limit=13, seed=3).keep(tmp_path / "out")


@pytest.mark.parametrize("text", ["", "3", '{"pictures": '])
def test_a_damaged_plan_is_told_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(ConfigError, match=r"plan\.json is damaged[\s\S]*another --out"):
        PLAN.keep(tmp_path)


def test_minutes_are_those_of_the_presenter() -> None:
    # 200 pictures 10 times: 100 sequences of 20 and a target, 200 ms each, and breaks of 1.5 s
    assert expected_minutes(200, 10) == pytest.approx(100 * (21 * 0.2 + 1.5) / 60)
    assert expected_minutes(200, 10, rehearse=True) == pytest.approx(100 * (21 * 0.2 + 0.5) / 60)


def test_pictures_are_embedded_as_for_the_decoder_to_start_from(tmp_path: Path) -> None:
    assert embedding_of(None, None) == ["--model", "embedded"]
    model = "open_clip:ViT-H-14/laion2b_s32b_b79k"
    assert embedding_of(model, None) == ["--model", model]
    write_config(tmp_path / "base", "decoder", {"space": "adapted", "base_space": f"{model}?layer=11&levels=1,3,9"})
    expected = ["--model", model, "--layer", "11", "--levels", "1,3,9"]
    assert embedding_of(None, tmp_path / "base") == embedding_of(model, tmp_path / "base") == expected
    with pytest.raises(ConfigError, match="it is the decoder's own"):
        embedding_of("embedded", tmp_path / "base")


def test_a_cap_without_the_channels_of_the_base_is_refused_before_the_presentation(tmp_path: Path) -> None:
    _require_channels("", ["Fz"])
    write_config(tmp_path / "base", "decoder", {"preprocessing": {"ch_names": ["Fz", "T7", "Oz"]}})
    _require_channels(str(tmp_path / "base"), ["oz", "T3", "Fz", "Cz"])
    with pytest.raises(ProgramError, match=r"lacks 1 of the 3 channels of .*base: T7"):
        _require_channels(str(tmp_path / "base"), ["Fz", "Oz"])


def test_what_a_broken_presentation_recorded_is_kept(tmp_path: Path) -> None:
    partial = tmp_path / "presentation.partial"
    for expected in (0, 0, 1, 2):
        assert _fresh(partial) == partial
        assert not any(partial.iterdir())
        assert len(list(tmp_path.glob("presentation.broken-*"))) == expected
        (partial / "remarks.log").touch()
        if (tmp_path / "twice").exists():
            (partial / "recording.xdf").write_bytes(b"signal")
        (tmp_path / "twice").touch()
    assert (tmp_path / "presentation.broken-2" / "recording.xdf").read_bytes() == b"signal"


def test_a_rehearsal_keeps_whole_concepts_for_its_proof(tmp_path: Path) -> None:
    write_pictures(tmp_path / "given", 20)
    rehearsal = Rehearsal(tmp_path / "pictures")
    rehearsal.draw(tmp_path / "given", 200, seed=0)
    training, live = picture_files(rehearsal.training), picture_files(rehearsal.live)
    assert (len(training), len(live)) == (32, 4)
    names = {picture_label(path, rehearsal.training) for path in training}
    assert len(names) == 16
    assert not any(path.stem.startswith(f"{name}_") for path in live for name in names)
    assert len({path.stem for path in training + live}) == 36  # a marker tells which
    before = [path.stat().st_mtime_ns for path in live]
    rehearsal.draw(tmp_path / "given", 200, seed=1)  # it is there
    assert [path.stat().st_mtime_ns for path in live] == before


def test_a_rehearsal_needs_as_many_concepts_as_it_says(tmp_path: Path) -> None:
    write_pictures(tmp_path / "few", 11, 1)
    with pytest.raises(DatasetError, match=r"11 concepts\nexpected: at least 12\n"):
        Rehearsal(tmp_path / "pictures").draw(tmp_path / "few", 200, seed=0)
    assert not (tmp_path / "pictures").exists()
    write_pictures(tmp_path / "enough", 12, 1)
    Rehearsal(tmp_path / "pictures").draw(tmp_path / "enough", 200, seed=0)
    assert len(picture_files(tmp_path / "pictures" / "training")) == 10


def test_a_rehearsal_draws_pictures_of_its_own(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "pictures")
    rehearsal.draw(None, 3, seed=0)
    training, live = picture_files(rehearsal.training), picture_files(rehearsal.live)
    assert (len(training), len(live)) == (3, N_LIVE)
    assert len({path.stem for path in training + live}) == N_LIVE + 3


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path / "given", 12, 1)
    out = tmp_path / "out"
    for name in ("gallery", "presentation", "epochs", "decoder"):
        (out / name).mkdir(parents=True)
    (out / "signal.json").write_text(json.dumps({"ready": True, "channels": [], "bad": ["T8"]}))
    (out / "cross-validation.json").write_text(json.dumps(JUDGED))
    for name in ("run", "Popen"):
        monkeypatch.setattr(subprocess, name, lambda *arguments, **options: pytest.fail(f"{arguments} was started"))
    session = Session(
        plan=PLAN, out=out, pictures=tmp_path / "given", windowed=True, eeg_name=None, environment={}
    )  # fmt: skip
    run(session, 5.0, skip_signal=False)
    result = json.loads((out / "result.json").read_text())
    assert result == result_of(JUDGED, ["T8"], None)
    assert (result["top1"], result["single"]["n_queries"], result["live"]) == (0.5, 48, None)
    assert result["usable"]


@pytest.mark.parametrize("ready", [True, False])
def test_a_signal_that_is_not_ready_ends_a_rehearsal_alone(tmp_path: Path, ready: bool) -> None:
    from necomimi.calibration_steps import check_signal

    session = Session(plan=PLAN, out=tmp_path, pictures=tmp_path, windowed=False, eeg_name=None, environment={})
    report = {"ready": ready, "n_good": 1, "n_channels": 2, "channels": [], "bad": ["Cz"]}
    (tmp_path / "signal.json").write_text(json.dumps(report))
    if ready:
        assert check_signal(session) == ["Cz"]
        return
    with pytest.raises(ProgramError, match=r"1 of 2 channels are good; bad: Cz[\s\S]*--skip-signal"):
        check_signal(session)
    assert not (tmp_path / "signal.json").exists()  # the next run looks again
    (tmp_path / "signal.json").write_text(json.dumps(report))
    assert check_signal(replace(session, windowed=True)) == ["Cz"]  # the person at the window has decided


def test_the_result_is_told_to_people_and_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live = {**ROW, "n_refusals": 2, "n_queries": 30}
    result = result_of(JUDGED, [], live)
    assert result["live"]["n_refusals"] == 2
    assert result["live"]["intervals"]["top5"] == [0.7, 1.0]
    write_result(result, tmp_path, ["necomimi decode x"])
    assert json.loads((tmp_path / "result.json").read_text()) == result
    page = (tmp_path / "result.html").read_text(encoding="utf-8")
    for words in ("usable: &lt;with&gt; 4", "50.0% (30–70)", "83.3%", "live, one presentation", "necomimi decode x"):
        assert words in page
    print_result(result, tmp_path, ["necomimi decode x"])
    text = capsys.readouterr().out
    for words in ("50.0% (30–70)", "usable: <with> 4 presentations", "necomimi decode x", "result.json"):
        assert words in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no PICTURES"),
        (["somewhere", "--headless"], "--headless without --rehearse"),
        (["--rehearse", "--headless", "--from", "nowhere"], "nowhere is not a directory"),
    ],
)
def test_usage_is_told_in_words(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = calibrate(*arguments, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_step_that_fails_is_named_with_the_way_on(tmp_path: Path) -> None:
    write_pictures(tmp_path / "given", 20)
    for path in (tmp_path / "given").rglob("*.png"):
        path.write_bytes(b"no picture")
    done = calibrate(tmp_path / "given", "--rehearse", "--headless", "--out", tmp_path / "out")
    assert done.returncode == 1
    for words in ("1/6 embedding", "cannot be read as a picture", "ended with status 2", "give the same command again"):
        assert words in done.stderr.replace("\n", " ")
