"""Tables for other programs: what stands in them, and what is said where they cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from necomimi.errors import ConfigError
from necomimi.offline.table_files import write_table


def test_header_and_lines_stand_in_the_file(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", ("name", "value"), [("x, y", 0.5), ("z", None)])
    assert (tmp_path / "a.csv").read_bytes() == b'name,value\n"x, y",0.5\nz,\n'
    write_table(tmp_path / "a.tsv", ("name", "value"), [("x, y", 0.5)], "\t")
    assert (tmp_path / "a.tsv").read_bytes() == b"name\tvalue\nx, y\t0.5\n"


def test_folder_in_the_place_of_the_file_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        write_table(tmp_path, ("name",), [])
