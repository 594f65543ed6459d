"""Draw the tree that README.md shows: first docstring line of each module -> one line of the README.

Run it with ``make tree``. Lines keep the order they have in the README, so that a folder reads in the order of the
data; a new module comes last in its folder, from where its line may be moved by hand.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

__all__ = ["FOLDERS", "arrow", "draw", "read"]

FOLDERS = ("necomimi", "offline", "realtime", "replay", "gui")
OTHERS = {
    "tests/": "Mirrors the five folders; test_architecture.py holds the rules of the tree.",
    "benchmarks/": "One file per figure that is quoted here.",
    "docs/": "Tutorials, the schema of the feed, the log of what was measured.",
}
BLOCK = re.compile(r"(?<=<!-- tree -->\n```text\n).*?(?=```\n<!-- /tree -->)", re.DOTALL)
WIDTH = 24


def arrow(path: Path) -> str:
    """Return the first docstring line of a module."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        raise ValueError(f"{path} has no docstring; its first line is the module's line in the tree")
    return docstring.splitlines()[0]


def read(readme: str) -> list[tuple[str, str]]:
    """Return the path and the text of each line of the tree in README.md, in order."""
    lines, parents = [], []
    for line in BLOCK.findall(readme)[0].splitlines():
        name, text = line.split(maxsplit=1)
        depth = (len(line) - len(line.lstrip())) // 2
        parents = [*parents[:depth], name]
        lines.append(("".join(parents), text))
    return lines


def draw(root: Path, readme: str) -> str:
    """Return the text of README.md with its tree drawn anew.

    Parameters
    ----------
    root : Path
        The repository.
    readme : str
        The text of README.md, with the tree between its two marks.
    """
    known = {path: i for i, (path, _) in enumerate(read(readme))}

    def lines(folder: Path) -> list[str]:
        sources = {path.relative_to(root).as_posix(): path for path in folder.glob("*.py") if path.stem != "__init__"}
        sources |= {f"{path.parent.relative_to(root).as_posix()}/": path for path in folder.glob("*/__init__.py")}
        drawn = []
        for name, path in sorted(sources.items(), key=lambda item: (known.get(item[0], len(known)), item[0])):
            drawn += [_line(name, arrow(path)), *(lines(path.parent) if name.endswith("/") else [])]
        return drawn

    tree = []
    for folder in FOLDERS:
        tree += [_line(f"{folder}/", arrow(root / folder / "__init__.py")), *lines(root / folder)]
    tree += [_line(name, text) for name, text in OTHERS.items()]
    return BLOCK.sub(lambda _: "".join(tree), readme)


def _line(path: str, text: str) -> str:
    """Return one line of the tree, indented by its depth."""
    *parents, name = re.findall(r"[^/]+/?", path)
    return f"{'  ' * len(parents) + name:<{WIDTH}}{text}\n"


if __name__ == "__main__":
    file = Path(__file__).resolve().parents[1] / "README.md"
    file.write_text(draw(file.parent, file.read_text(encoding="utf-8")), encoding="utf-8")
