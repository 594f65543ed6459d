"""Build the documents: pages, docstrings, commands -> build/docs/html/index.html; a warning is an error (make docs)."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from commands import write_commands
from sphinx.cmd.build import main as sphinx_build

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
OUT = ROOT / "build" / "docs"
# The repository's own pages, which stand one folder higher there, and a file that is no page at all.
COPIED = {"README.md": "readme.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
MADE = {"Start": [("Overview", "readme")], "Reference": [("Commands", "commands")]}  # pages that no table links to
LICENCE = "https://opensource.org/license/bsd-3-clause"


def lay_out(source: Path) -> None:
    """Lay all pages in one folder, with links that hold there, and an index that knows them all, group by group."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for path in [*DOCS.glob("*.md"), *(ROOT / name for name in COPIED)]:
        text = path.read_text(encoding="utf-8")
        for name, copy in COPIED.items():
            text = text.replace(f"](../{name}", f"]({copy}").replace(f"]({name}", f"]({copy}")
        text = text.replace("](docs/", "](").replace("](LICENSE)", f"]({LICENCE})")
        (source / COPIED.get(path.name, path.name)).write_text(text, encoding="utf-8")
    for picture in DOCS.glob("*.png"):
        shutil.copy(picture, source)
    write_commands(source / "commands.md")
    index = source / "index.md"
    text = index.read_text(encoding="utf-8")
    index.write_text(f"{text}\n{contents(text)}", encoding="utf-8")


def contents(index: str) -> str:
    """Return the contents, a group for each section of the index: the pages that its table links to."""
    groups = []
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        caption = section.split("\n", 1)[0]
        links = re.findall(r"^\| \[([^]]+)\]\(([a-z0-9-]+)\.md\)", section, re.MULTILINE)
        pages = [f"{title} <{page}>" for title, page in MADE.get(caption, []) + links]
        groups.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"]))
    return "\n\n".join(groups) + "\n"


def main() -> int:
    """Lay the pages out and build them; return Sphinx's exit status."""
    lay_out(OUT / "source")
    options = ["-c", str(DOCS), "-W", "--keep-going", "-q", "-j", "auto", "-d", str(OUT / "doctrees")]
    return sphinx_build([*options, str(OUT / "source"), str(OUT / "html")])


if __name__ == "__main__":
    sys.exit(main())
