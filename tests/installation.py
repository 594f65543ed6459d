"""Install what is built as a user would, outside the checkout: sources -> sdist, wheel, an environment for each extra.

``python tests/installation.py`` tries all of them, ``python tests/installation.py core clip`` some. It needs the
package index. With uv on the path, files are linked from its cache into each environment: give both the same disk
(UV_CACHE_DIR, TMPDIR). All that it makes is deleted in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: name for name in ("core", *PROJECT["optional-dependencies"]) if name != "dev"}
GROUPS = {"train": ("encoder", "prior", "generator"), "bench": ("live", "soak", "generator")}
COMMANDS = [
    [name, *more] for name in PROJECT["entry-points"]["necomimi.commands"] for more in [(), *zip(GROUPS.get(name, ()))]
]
TIMEOUT_S = 600

ENCODER = """
import torch
from necomimi.encoders import build
encoder = build({name!r}, n_chans=8, n_times=250, n_outputs=16, **{options}).eval()
assert encoder(torch.zeros(2, 8, 250)).shape == (2, 16)
"""
# The one thing that each extra is for, in an empty folder.
USES = {
    "core": ENCODER.format(name="multiblur", options={}),
    "demo": """
from necomimi.embedders import build_embedder
from necomimi.pictures import concepts, draw_picture
vectors = build_embedder("embedded").embed([draw_picture(concept, 0, 0) for concept in concepts()[:2]])
assert vectors.shape == (2, 256)
assert abs((vectors**2).sum(axis=1) - 1).max() < 1e-5
""",
    "clip": """
import json, open_clip, torch
from pathlib import Path
from PIL import Image
from necomimi.embedders import build_embedder
vision = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
text = {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1}
Path("models").mkdir()
Path("models/tiny.json").write_text(json.dumps({"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}))
open_clip.add_model_config(Path("models"))
torch.save(open_clip.create_model("tiny").state_dict(), "weights.pt")
vectors = build_embedder("open_clip:tiny/weights.pt").embed([Image.new("RGB", (40, 30), c) for c in ("red", "blue")])
assert vectors.shape == (2, 24)
""",
    "diffusion": f"""
import sys
import numpy as np
from pathlib import Path
sys.path.insert(0, {str(ROOT / "tests" / "core")!r})
import tiny_diffusion
from necomimi.generators import build_generator
tiny_diffusion.write(tiny_diffusion.tiny("sdxl-turbo"), 1, Path("weights"))
generator = build_generator("sdxl-turbo", "cpu", steps=1, size=64, model="weights")
vectors = np.eye(generator.n_dims, dtype=np.float32)[:2]
assert generator.paint(vectors, range(2)).shape == (2, 64, 64, 3)
""",
    "hub": """
import huggingface_hub
import numpy as np
from pathlib import Path
from necomimi.decoder import Decoder
from necomimi.encoders import build
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor
config = {"name": "multiblur", "n_chans": 2, "n_times": 150, "n_outputs": 4}
gallery = Gallery.from_labels(["a", "b", "c", "d"])
preprocessor = Preprocessor(ch_names=("Pz", "Oz"), sfreq=250.0, tmin=-0.1, tmax=0.6, baseline=(-0.1, 0.0), start=0.0,
                            n_times=150, spatial=np.eye(2, dtype=np.float32))
Decoder(encoder_config=config, encoder=build(**config), preprocessor=preprocessor, space=gallery.space,
        logit_scale=7.0, gallery=gallery, training={}).save_pretrained("decoder")
card = huggingface_hub.ModelCard(Path("decoder/README.md").read_text(encoding="utf-8"))
assert card.data.library_name == "necomimi"
""",
    "ray": """
import ray
ray.init(num_cpus=1, log_to_driver=False)
assert ray.get(ray.remote(lambda: 6 * 7).remote()) == 42
""",
    "braindecode": ENCODER.format(name="braindecode:EEGNet", options={"sfreq": 250.0}),
    "bench": "from mne_lsl.stream import StreamLSL",
}
# What asks for an extra that the core has not, as statements; each is to refuse in words.
NEEDS = {
    "demo": "from necomimi.embedders import build_embedder; build_embedder('embedded')",
    "clip": "from necomimi.embedders import build_embedder; build_embedder('open_clip:ViT-B-32/openai')",
    "diffusion": "from necomimi.generators import build_generator; build_generator('sdxl-turbo', random_weights=True)",
    "hub": "from necomimi.decoder import Decoder; Decoder.from_pretrained('owner/name')",
    "ray": "from necomimi.offline.job_cluster import work_on_ray; next(work_on_ray([], 'ray', 1))",
    "braindecode": "from necomimi.encoders.braindecode import models; models()",
}
HELP = """
import sys
from necomimi.cli import main
for words in {commands}:
    sys.argv[1:] = [*words, "--help"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, words
"""
REFUSED = """
from necomimi.errors import NecomimiError
try:
    {statements}
    print("was not refused")
except NecomimiError as error:
    print(error)
"""


class Failed(Exception):
    """Something that was installed does not do what it should."""


def run(*command: str | Path, cwd: Path, statuses: tuple[int, ...] = (0,), quiet: bool = False) -> str:
    """Run a program to its end; return what it printed, standard error too unless `quiet`."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, timeout=TIMEOUT_S, text=True, encoding="utf-8", errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else subprocess.STDOUT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    if done.returncode not in statuses or "Traceback" in done.stdout:
        raise Failed(f"{' '.join(map(str, command))[:300]}: status {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


class Environment:
    """A fresh environment in a folder; made with uv where there is one."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "environment" / ("Scripts" if os.name == "nt" else "bin")
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self._uv = shutil.which("uv")
        command = [self._uv, "venv", "-q", "--python"] if self._uv else []
        run(*command, sys.executable, *([] if self._uv else ["-m", "venv"]), self.bin.parent, cwd=self.work)

    def install(self, *arguments: str | Path) -> None:
        """Install from the package index."""
        pip = [self._uv, "pip", "install", "-q", "--python", self.python] if self._uv else []
        run(*(pip or [self.python, "-m", "pip", "install", "-q"]), *arguments, cwd=self.work)

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.bin / "python"

    def necomimi(self, *arguments: str, statuses: tuple[int, ...] = (0,), quiet: bool = False) -> str:
        """Run `necomimi` in an empty folder."""
        return run(self.bin / "necomimi", *arguments, cwd=self.work, statuses=statuses, quiet=quiet)

    def do(self, program: str) -> str:
        """Run some lines of Python in an empty folder."""
        return run(self.python, "-c", program, cwd=self.work)

    def size(self) -> int:
        """Return the bytes of all files, those that are shared with a cache too."""
        return sum(path.lstat().st_size for path in self.bin.parent.rglob("*") if not path.is_dir())


def build(folder: Path) -> Path:
    """Return a wheel, made from an sdist that was made from a copy of the sources; both are looked at by twine."""
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "demo-out")
    shutil.copytree(ROOT, folder / "sources", ignore=unwanted)
    tools = Environment(folder / "tools")
    tools.install("build", "twine")
    run(tools.python, "-m", "build", "--outdir", folder / "dist", folder / "sources", cwd=folder)
    made = sorted((folder / "dist").iterdir())
    run(tools.python, "-m", "twine", "check", "--strict", *made, cwd=folder)
    for file in made:
        print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
    (wheel,) = (file for file in made if file.suffix == ".whl")
    return wheel


def check(extra: str, environment: Environment) -> None:
    """Try what every installation can do, and what this one is for; raise where something does not work."""
    if environment.necomimi("--version").strip() != f"necomimi {_version(environment)}":
        raise Failed("`necomimi --version` prints another version than that of the installed package")
    text = environment.necomimi("--help")
    if "not installed" in text or not all(f"  {name} " in text for name, *_ in COMMANDS):
        raise Failed(text)
    environment.do(HELP.format(commands=COMMANDS))
    found = json.loads(environment.necomimi("doctor", "--json", quiet=True))["checks"]
    if bad := [check for check in found if check["status"] == "failure"]:
        raise Failed(f"doctor: {bad}")
    installed = {check["name"].removeprefix("extra "): check["found"] for check in found if "extra " in check["name"]}
    for name in USES:
        if (name == extra or extra == "all") and name != "core" and not installed[name].endswith(": installed"):
            raise Failed(f"doctor says of {name}: {installed[name]}")
    for use in USES if extra == "all" else [extra]:
        work = Path(tempfile.mkdtemp(dir=environment.work))
        run(environment.python, "-c", USES[use], cwd=work)
    if extra == "core":
        _refusals(environment)
        _streams(environment)


def _version(environment: Environment) -> str:
    return environment.do("from importlib.metadata import version; print(version('necomimi'))").strip()


def _refusals(environment: Environment) -> None:
    """Ask for what only the extras have."""
    for extra, statements in NEEDS.items():
        said = environment.do(REFUSED.format(statements=statements))
        if f'pip install "necomimi[{extra}]"' not in said:
            raise Failed(f"without the extra {extra}: {said}")
    said = environment.necomimi("embed", "embedded", "gallery", statuses=(2,))
    if 'pip install "necomimi[demo]"' not in said:
        raise Failed(said)


def _streams(environment: Environment) -> None:
    """Send noise over LSL, and see it arrive in another program."""
    config = environment.work / "lsl_api.cfg"
    environment.do(f"from pathlib import Path; from necomimi.lsl import write_loopback_config as write; "
                   f"write(Path({str(config)!r}), 'installation-{os.getpid()}')")  # fmt: skip
    os.environ["LSLAPICFG"] = str(config)
    sender = subprocess.Popen(
        [environment.bin / "necomimi", "replay", "synthetic:8x250x5x600"], cwd=environment.work,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + TIMEOUT_S / 10
        said = ""
        while '"EEG"' not in said:
            if time.monotonic() > deadline or sender.poll() is not None:
                raise Failed(f"necomimi streams does not see what necomimi replay sends: {said}")
            said = environment.necomimi("streams", "--json", quiet=True, statuses=(0, 1))
    finally:
        del os.environ["LSLAPICFG"]
        sender.kill()
        sender.wait()


@contextmanager
def removed(folder: Path) -> Iterator[Path]:
    """Yield a folder that is deleted in the end."""
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Try what was asked for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help=f"some of {', '.join(EXTRAS)}; all by default")
    chosen = parser.parse_args().extras or list(EXTRAS)
    if unknown := set(chosen) - set(EXTRAS):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(EXTRAS)}")
    n_failed = 0
    with removed(Path(tempfile.mkdtemp(prefix="necomimi-installation-"))) as folder:
        wheel = build(folder)
        print(f"{'extra':12} {'installed':>10} {'size':>9} {'tried':>7}", flush=True)
        for extra in chosen:
            with removed(folder / extra):
                began = time.monotonic()
                environment = Environment(folder / extra)
                what = "necomimi" if extra == "core" else f"necomimi[{extra}]"
                environment.install("-c", ROOT / "constraints.txt", f"{what} @ {wheel.as_uri()}")
                installed = time.monotonic()
                try:
                    check(extra, environment)
                    verdict = "all works"
                except Failed as error:
                    n_failed += 1
                    verdict = f"FAILED: {error}"
                took = time.monotonic() - installed
                size = environment.size() / 1e9
                print(f"{extra:12} {installed - began:8.0f} s {size:6.2f} GB {took:5.0f} s  {verdict}", flush=True)
    return min(n_failed, 1)


if __name__ == "__main__":
    sys.exit(main())
