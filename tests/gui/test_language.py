from __future__ import annotations

import ast
import string
from pathlib import Path

import pytest

from necomimi.gui.japanese import JAPANESE
from necomimi.gui.language import choose_language, current_language, tr, use_language

GUI = Path(__file__).parents[2] / "gui"


def texts() -> dict[str, str]:
    """Return every literal that is handed to tr, and the file that does it."""
    found = {}
    for file in sorted(GUI.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr":
                text = node.args[0]
                assert isinstance(text, ast.Constant), f"{file.name}:{node.lineno}: tr takes a literal"
                found[text.value] = file.name
    return found


def placeholders(text: str) -> list[str]:
    return sorted(field.split("!")[0] for _, field, _, _ in string.Formatter().parse(text) if field is not None)


def test_every_text_has_a_japanese_one_and_none_is_left_over() -> None:
    assert set(texts()) == set(JAPANESE)


def test_a_translation_has_the_placeholders_of_its_text() -> None:
    for english, japanese in JAPANESE.items():
        assert placeholders(english) == placeholders(japanese), english


def test_words_follow_the_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(JAPANESE, "{n} pictures", "{n}枚の画像")
    assert tr("{n} pictures", n=3) == "3 pictures"
    use_language("ja")
    assert current_language() == "ja"
    assert tr("{n} pictures", n=3) == "3枚の画像"
    assert tr("not known to anybody") == "not known to anybody"
    use_language("en")
    assert tr("{n} pictures", n=3) == "3 pictures"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({"LANG": "ja_JP.UTF-8"}, "ja"), ({"LANG": "en_US.UTF-8"}, "en"), ({"LC_ALL": "C", "LANG": "ja_JP.UTF-8"}, "en")],
)
def test_auto_is_the_language_of_the_desktop(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert choose_language("auto") == expected
    assert choose_language("ja") == "ja"


def test_a_language_that_is_not_spoken_is_refused() -> None:
    with pytest.raises(ValueError, match="'de'"):
        use_language("de")  # type: ignore[arg-type]
