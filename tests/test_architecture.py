"""The tree is the data flow: who imports whom, what starts quickly, what the README shows, what the wheel holds."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[1]
OUTER = ("offline", "realtime", "replay", "gui")
QT = {"PyQt5", "PyQt6", "PySide2", "PySide6", "pyqtgraph", "qtpy"}
HEAVY = QT | {"torch", "mne", "matplotlib", "sklearn", "transformers", "diffusers", "open_clip"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMMANDS = PROJECT["project"]["entry-points"]["necomimi.commands"]


def module_of(path: Path) -> str:
    """Return the installed name of a source file: offline/train.py is necomimi.offline.train."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "necomimi" else ("necomimi", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for folder in ("necomimi", *OUTER) for path in sorted((ROOT / folder).rglob("*.py"))}


def imports(source: str, package: str) -> set[str]:
    """Return every name that a module of `package` imports, absolute, wherever in the module it does so."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                names.add(importlib.util.resolve_name(node.args[0].value, package))
    return names


def breaches(module: str, names: set[str]) -> list[str]:
    """Return the imports that `module` may not have."""
    folder = next((name for name in OUTER if f"{module}.".startswith(f"necomimi.{name}.")), "")
    others = tuple(f"necomimi.{name}." for name in OUTER if name != folder)
    return sorted(
        name
        for name in names
        if f"{name}.".startswith(others)
        or name.split(".")[0] in OUTER
        or (name.split(".")[0] in QT and folder != "gui")
        or (name.split(".")[0] == "pylsl" and not f"{module}.".startswith("necomimi.lsl."))
    )


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """Run a program to its end; return its standard output, or fail with all it said."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


# Who imports whom


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_what_its_folder_may(module: str) -> None:
    path = MODULES[module]
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    assert breaches(module, imports(path.read_text(encoding="utf-8"), package)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("necomimi.decoder", "from necomimi.realtime.ring import Ring"),
        ("necomimi.decoder", "def f():\n    from necomimi import offline"),
        ("necomimi.demo", "from importlib import import_module\nimport_module('necomimi.gui.window')"),
        ("necomimi.encoders.nice", "from ..offline import train"),
        ("necomimi.offline.train", "import necomimi.gui.window"),
        ("necomimi.realtime.ring", "from ..replay.timeline import Timeline"),
        ("necomimi.realtime.ring", "import realtime.clock"),
        ("necomimi.realtime.ring", "import pylsl"),
        ("necomimi.realtime.ring", "from PyQt6.QtCore import QTimer"),
        ("necomimi.gui.window", "import pylsl.util"),
        ("necomimi.gui.window", "from ..realtime import ring"),
    ],
)
def test_rule_finds_a_forbidden_import(module: str, source: str) -> None:
    assert breaches(module, imports(source, module.rpartition(".")[0]))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("necomimi.lsl", "import pylsl"),
        ("necomimi.gui.window", "from PyQt6.QtCore import QTimer\nimport pyqtgraph"),
        ("necomimi.realtime.ring", "from .clock import Clock\nfrom necomimi.records import Chunk"),
        ("necomimi.realtime", "from . import ring"),
    ],
)
def test_rule_passes_an_allowed_import(module: str, source: str) -> None:
    assert breaches(module, imports(source, "necomimi.realtime")) == []


# What runs elsewhere than on Linux


POSIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
POSIX_NAMES = {
    "os": {"chown", "fork", "forkpty", "getpgid", "getuid", "geteuid", "kill", "killpg", "link", "mkfifo", "nice",
           "posix_fadvise", "sched_getaffinity", "sched_setaffinity", "setsid", "symlink", "sysconf", "uname", "wait"},
    "signal": {"SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGUSR1",
               "SIGUSR2", "alarm", "pthread_sigmask", "pthread_kill", "setitimer", "sigwait"},
    "socket": {"AF_UNIX"},
    "mmap": {"MADV_DONTNEED"},
    "time": {"clock_gettime", "tzset"},
}  # fmt: skip


def posix_only(source: str) -> list[str]:
    """Return what a module asks of POSIX alone, outside of an ``if`` that looks for it or for the system."""
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If | ast.IfExp) and re.search(
            r"sys\.platform|os\.name|hasattr", ast.unparse(node.test)
        ):
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found.extend(name for name in names if name in POSIX_MODULES)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.extend([ast.unparse(node)] if node.attr in POSIX_NAMES.get(node.value.id, ()) else [])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.extend([node.value] if re.match(r"/(proc|dev/shm|tmp)(/|$)", node.value) else [])
        elif isinstance(node, ast.Call) and any(
            word.arg in ("preexec_fn", "start_new_session") for word in node.keywords
        ):
            found.append(ast.unparse(node.func))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(source))
    return found


# Each is guarded by other means than an `if` on the system, as its comment there says.
GUARDED = {"necomimi.realtime.bench_setup": ["/proc/cpuinfo"]}


@pytest.mark.parametrize("module", MODULES)
def test_module_asks_nothing_of_posix_alone(module: str) -> None:
    assert posix_only(MODULES[module].read_text(encoding="utf-8")) == GUARDED.get(module, [])


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import fcntl", ["fcntl"]),
        ("import os\nos.kill(1, 2)", ["os.kill"]),
        ("import signal\nsignal.signal(signal.SIGHUP, f)", ["signal.SIGHUP"]),
        ("open('/proc/self/status')", ["/proc/self/status"]),
        ("import os, sys\nif sys.platform != 'win32':\n    os.killpg(1, 2)", []),
        ("import os\ncores = os.sched_getaffinity(0) if hasattr(os, 'sched_getaffinity') else None", []),
    ],
)
def test_rule_finds_what_is_of_posix_alone(source: str, found: list[str]) -> None:
    assert posix_only(source) == found


@pytest.mark.parametrize(("encoding", "micro"), [("cp1252", "5 µs"), ("cp932", "5 ?s"), ("ascii", "5 ?s")])
def test_consoles_without_utf_8_show_what_they_can(encoding: str, micro: str) -> None:
    words = ascii([["猫", "warning", "5 µs → ✓", "直す"]])
    program = (
        "import sys\nfrom necomimi.cli import main\nfrom necomimi import doctor\nfrom necomimi.checks import Check\n"
        f"doctor.CHECKS = (lambda: [Check(*words) for words in {words}],)\n"
        "sys.argv[1:] = ['doctor']\nmain()"
    )
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment)
    assert (done.returncode, done.stderr.decode(encoding)) == (0, "0 failures, 1 warning\n")
    assert micro in done.stdout.decode(encoding)


# What starts quickly


@pytest.mark.parametrize(
    "statement",
    [
        "import necomimi",
        "import necomimi.cli",
        "import necomimi.errors",
        "import necomimi.feed",
        "import necomimi.gallery",
        "import necomimi.lsl",
        "import necomimi.records",
        "import sys; sys.argv[1:] = ['--help']\ntry: import necomimi.__main__\nexcept SystemExit: pass",
    ],
)
def test_light_modules_leave_heavy_libraries_alone(statement: str) -> None:
    loaded = run(sys.executable, "-c", f"{statement}\nimport sys; print(*sys.modules)").split()
    assert HEAVY.isdisjoint(loaded), f"{statement!r} imports {sorted(HEAVY.intersection(loaded))}"


def test_help_answers_in_half_a_second() -> None:
    def best_of_three(*command: str | Path) -> float:
        times = []
        for _ in range(3):
            began = time.perf_counter()
            run(*command)
            times.append(time.perf_counter() - began)
        return min(times)

    program = Path(sysconfig.get_path("scripts")) / "necomimi"
    bare = best_of_three(sys.executable, "-c", "pass")
    taken = best_of_three(program, "--help")
    assert taken < max(0.5, 15 * bare), f"necomimi --help took {taken:.2f} s, a bare interpreter {bare:.3f} s"


def culprits(importtime: str) -> dict[str, str]:
    """Return which module of ours imports each heavy library first, by what ``-X importtime`` printed."""
    rows = [line.split("|") for line in importtime.splitlines() if line.startswith("import time:")]
    names = [row[2].rstrip() for row in rows if len(row) == 3]  # indented by depth; who imports comes after, less deep
    found = {}
    for i, name in enumerate(names):
        if name.strip() in HEAVY:
            depth, by = len(name) - len(name.lstrip()), "the command line"
            for later in names[i + 1 :]:
                if len(later) - len(later.lstrip()) < depth:
                    depth = len(later) - len(later.lstrip())
                    if later.strip().startswith("necomimi."):
                        by = later.strip()
                        break
            found[name.strip()] = by
    return found


@pytest.mark.parametrize("words", [*COMMANDS, "train encoder", "train prior", "train generator", "bench live"])
def test_help_of_a_command_leaves_heavy_libraries_alone(words: str) -> None:
    """Modules of commands import what is light; the rest where it is used, in the function."""
    command = [sys.executable, "-X", "importtime", "-m", "necomimi", *words.split(), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout
    assert culprits(done.stderr) == {}, f"necomimi {words} --help imports these, each through the module beside it"


def test_culprit_is_the_module_that_imports() -> None:
    for modules, culprit in (("necomimi.blur", "necomimi.blur"), ("torch, necomimi.blur", "the command line")):
        command = [sys.executable, "-X", "importtime", "-c", f"import {modules}"]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        assert culprits(done.stderr)["torch"] == culprit


# Commands


def test_installed_commands_are_those_of_the_project() -> None:
    installed = {point.name: point.value for point in importlib.metadata.entry_points(group="necomimi.commands")}
    assert installed == COMMANDS, "the installation is older than pyproject.toml: install again"


@pytest.mark.parametrize("name", COMMANDS)
def test_command_loads_and_its_help_has_an_example(name: str) -> None:
    (point,) = importlib.metadata.entry_points(group="necomimi.commands", name=name)
    target: Any = point.load()
    commands = [name]
    if isinstance(target, typer.Typer):
        commands = [f"{name} {info.name}" for info in target.registered_commands]
    assert commands
    cli = importlib.import_module("necomimi.cli").app
    for words in commands:
        result = CliRunner().invoke(cli, [*words.split(), "--help"])
        assert result.exit_code == 0, result.output
        assert f"Example: necomimi {words}" in " ".join(result.output.split()), f"`necomimi {words}` has no example"


# What the README shows


@pytest.mark.parametrize("module", MODULES)
def test_first_docstring_line_is_an_arrow(module: str) -> None:
    path = MODULES[module]
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first, *rest = docstring.splitlines() or [""]
    assert first.endswith("."), f"{path}: the first docstring line is {first!r}, expected one sentence on one line"
    assert len(first) <= 120
    assert not rest or not rest[0], f"{path}: a blank line must follow the first docstring line"
    assert path.stem == "__init__" or "->" in first, f"{path}: {first!r} has no arrow (what comes in -> what goes out)"


@pytest.mark.parametrize("module", [name for name, path in MODULES.items() if not path.stem.startswith("__")])
def test_public_names_are_declared_and_documented(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    assigned = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    assigned |= {ast.unparse(node.target): node.value for node in tree.body if isinstance(node, ast.AnnAssign)}
    assert "__all__" in assigned, f"{module} has no __all__"
    exported = set(ast.literal_eval(assigned["__all__"]))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in exported:
            assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"


def test_readme_tree_shows_each_module_once_with_its_arrow(readme_tree: Any) -> None:
    shown = readme_tree.read((ROOT / "README.md").read_text(encoding="utf-8"))
    expected = {}
    for path in MODULES.values():
        name = path.relative_to(ROOT).as_posix().removesuffix("__init__.py")
        expected[name] = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
    paths = [path for path, _ in shown]
    assert len(paths) == len(set(paths)), "a path stands twice in the README's tree: run `make tree`"
    modules = {path: text for path, text in shown if path not in readme_tree.OTHERS}
    assert modules == expected, "the README's tree is not that of the sources: run `make tree`"
    assert all((ROOT / path).exists() for path in paths)


def test_tree_keeps_the_order_of_the_readme_and_adds_new_modules_last(readme_tree: Any, tmp_path: Path) -> None:
    for folder in readme_tree.FOLDERS:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text(f'"""Folder {folder}."""\n', encoding="utf-8")
    for name in ("alpha", "beta", "gamma"):
        (tmp_path / "realtime" / f"{name}.py").write_text(f'"""{name}: in -> out."""\n', encoding="utf-8")
    before = (
        "# Title\n<!-- tree -->\n```text\nrealtime/ old\n  gamma.py old\n  beta.py old\n```\n<!-- /tree -->\nrest\n"
    )
    after = readme_tree.draw(tmp_path, before)
    lines = [line for line in readme_tree.read(after) if line[0].startswith("realtime/")]
    assert lines == [
        ("realtime/", "Folder realtime."),
        ("realtime/gamma.py", "gamma: in -> out."),
        ("realtime/beta.py", "beta: in -> out."),
        ("realtime/alpha.py", "alpha: in -> out."),
    ]
    assert readme_tree.draw(tmp_path, after) == after
    assert after.startswith("# Title\n")
    assert after.endswith("rest\n")


@pytest.fixture(scope="module")
def readme_tree(load: Callable[[Path], Any]) -> Any:
    """Return docs/tree.py as a module."""
    return load(ROOT / "docs" / "tree.py")


# What the wheel holds


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built from an sdist built from a copy of the sources, so that both are complete."""
    folder = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "demo-out")
    shutil.copytree(ROOT, folder / "sources", ignore=unwanted)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "sources")
    (sdist,) = (folder / "dist").glob("necomimi-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= {"Makefile", "constraints.txt", "docs/feed.md", "docs/tree.py", "tests/conftest.py"}
    (built,) = (folder / "dist").glob("necomimi-*.whl")
    return built


def test_wheel_holds_the_modules_and_their_data_and_nothing_else(wheel: Path) -> None:
    expected = set()
    for folder in ("necomimi", *OUTER):
        files = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        prefix = "" if folder == "necomimi" else "necomimi/"
        expected |= {prefix + path.relative_to(ROOT).as_posix() for path in files}
    names = set(zipfile.ZipFile(wheel).namelist())
    metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert names - metadata == expected
    assert any(name.endswith("/licenses/LICENSE") for name in metadata)


def test_installed_wheel_imports_whole_and_lists_its_commands(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", target, wheel)
    code = "import importlib, sys\nfor name in sys.argv[1:]: print(importlib.import_module(name).__file__)"
    modules = [name for name in MODULES if name != "necomimi.__main__"]
    files = run(sys.executable, "-c", code, *modules, cwd=tmp_path, PYTHONPATH=str(target)).splitlines()
    assert len(files) == len(modules)
    assert [file for file in files if not Path(file).is_relative_to(target)] == []
    help_text = run(sys.executable, "-m", "necomimi", "--help", cwd=tmp_path, PYTHONPATH=str(target))
    listed = re.findall(r"^  ([a-z][a-z-]*)  ", help_text, re.MULTILINE)
    assert sorted(COMMANDS) == sorted(listed)
    assert "not installed" not in help_text


# What the container image holds


def test_dockerfile_copies_what_is_there_and_installs_what_is_offered() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [source for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for source in line.split()]
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert {"necomimi", *OUTER} <= set(copied)
    ignored = set((ROOT / ".dockerignore").read_text(encoding="utf-8").split())
    assert ignored.isdisjoint(copied)
    (extras,) = re.findall(r'"\.\[([^]]+)\]"', text)
    assert set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    floor = PROJECT["project"]["requires-python"].removeprefix(">=")
    (python,) = re.findall(r"^FROM python:(\d+\.\d+)-slim", text, re.MULTILINE)
    assert [int(part) for part in python.split(".")] >= [int(part) for part in floor.split(".")]
