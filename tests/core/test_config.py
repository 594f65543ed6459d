"""Settings come from a file and from options; what they do not know or cannot be is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, ValidationError, field_validator

from necomimi.config import Settings, load_settings
from necomimi.errors import ConfigError


class Inner(Settings):
    width: int = 1


class Recipe(Settings):
    epochs: int = Field(default=30, ge=1)
    lr: float | None = None
    name: str = "nice"
    inner: Inner = Inner()

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value == "oracle":
            raise ValueError("there is no oracle")
        return value


def toml(path: Path, text: str) -> Path:
    (path / "settings.toml").write_text(text, encoding="utf-8")
    return path / "settings.toml"


def test_options_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = toml(tmp_path, 'epochs = 5\nname = "muse"\n[inner]\nwidth = 3\n')
    found = load_settings(Recipe, path, {"epochs": 7, "name": None, "lr": None})
    assert found == Recipe(epochs=7, lr=None, name="muse", inner=Inner(width=3))
    assert load_settings(Recipe) == Recipe()


def test_an_option_that_is_zero_or_false_counts_as_given() -> None:
    assert load_settings(Recipe, overrides={"lr": 0.0}).lr == 0.0


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Recipe().epochs = 3


def test_an_unknown_key_is_named_with_its_file_and_the_nearest_known_one(tmp_path: Path) -> None:
    path = toml(tmp_path, "epoch = 5\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(Recipe, path)
    assert caught.value.found == f"unknown key 'epoch' in {path}"
    assert caught.value.expected == "one of epochs, inner, lr, name"
    assert caught.value.remedy == "epochs is the nearest"


def test_an_unknown_key_unlike_any_other_has_no_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'zzz'") as caught:
        load_settings(Recipe, toml(tmp_path, "zzz = 1\n"))
    assert not caught.value.remedy


def test_an_unknown_key_in_a_table_is_named_in_full(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'inner\.widht'"):
        load_settings(Recipe, toml(tmp_path, "[inner]\nwidht = 1\n"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('epochs = "many"', "epochs = 'many' in .*settings.toml: .*integer"),
        ("epochs = 0", "epochs = 0 in .*settings.toml: .*greater than or equal to 1"),
        ('name = "oracle"', "name = 'oracle' in .*settings.toml: there is no oracle"),
        ("inner = 3", "inner = 3 in .*settings.toml"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_settings(Recipe, toml(tmp_path, text))


def test_the_blame_falls_on_the_option_where_the_option_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="epochs = 0 among the options"):
        load_settings(Recipe, toml(tmp_path, "epochs = 3\n"), {"epochs": 0})


@pytest.mark.parametrize("content", [b"epochs = \n", b"\xff\xfe", b"epochs = 1\nepochs = 2\n"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "settings.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"settings.toml cannot be read") as caught:
        load_settings(Recipe, tmp_path / "settings.toml")
    assert caught.value.expected == "a TOML file of settings"


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(Recipe, tmp_path / "absent.toml")
