"""Whole data sets from hosts that answer as OSF, figshare and S3 do: lists, archives, layout, what fails."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from necomimi.errors import ConfigError, DatasetError
from necomimi.offline.download import command
from necomimi.offline.fetching import FetchError, Patience, part_path
from necomimi.offline.mirrors import Listing, entries, load_mirrors
from necomimi.offline.unpacking import UnpackError, safe_parts, unpack
from necomimi.things_eeg2 import metadata_path, preprocessed_path, raw_path, sessions, subjects

QUICK = Patience(timeout=5.0, attempts=2, pause=0.001)


def noise(seed: object, n: int = 3000) -> bytes:
    return random.Random(str(seed)).randbytes(n)


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def session_files(subject: int, n_sessions: int = 4) -> dict[str, bytes]:
    return {
        f"ses-{session:02d}/raw_eeg_{split}.npy": noise((subject, session, split))
        for session in range(1, n_sessions + 1)
        for split in ("training", "test")
    }


def on_figshare(web: Any, files: dict[str, bytes], article: str = "18470912") -> None:
    """Serve files as a figshare article does, 100 a page."""
    items = []
    for name, data in files.items():
        web.files[f"/files/{name}"] = data
        url, md5 = f"{web.url}/files/{name}", hashlib.md5(data).hexdigest()
        items.append({"id": 1, "name": name, "size": len(data), "download_url": url, "computed_md5": md5})
    for page in range(1, len(items) // 100 + 2):
        path = f"/figshare/articles/{article}/files?page={page}&page_size=100"
        web.files[path] = json.dumps(items[100 * (page - 1) : 100 * page]).encode()


def osf_item(web: Any, path: str, data: bytes) -> dict[str, Any]:
    web.files[f"/download{path}"] = data
    hashes = {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}
    attributes = {"kind": "file", "name": path.rpartition("/")[2], "materialized_path": path, "size": len(data)}
    return {
        "attributes": {**attributes, "extra": {"hashes": hashes}},
        "links": {"download": f"{web.url}/download{path}"},
    }


def on_osf(web: Any, project: str, files: dict[str, bytes]) -> None:
    """Serve files as an OSF project does: the last two in a folder, one a page."""
    base = f"/osf/nodes/{project}/files/osfstorage/"
    items = [osf_item(web, f"/{path}", data) for path, data in files.items()]
    related = {"links": {"related": {"href": f"{web.url}{base}folder/?page=1"}}}
    folder = {"attributes": {"kind": "folder", "name": "folder"}, "relationships": {"files": related}, "links": {}}
    pages = {f"{base}?page%5Bsize%5D=100": [folder, *items[:-2]], f"{base}folder/?page=1": items[-2:-1]}
    for path, data in pages.items():
        following = None if data and data[0] is folder else f"{web.url}{base}folder/?page=2"
        web.files[path] = json.dumps({"data": data, "links": {"next": following}}).encode()
    web.files[f"{base}folder/?page=2"] = json.dumps({"data": items[-1:], "links": {"next": None}}).encode()


def on_s3(web: Any, keys: dict[str, bytes]) -> None:
    """Serve files as a public bucket does, two keys a page."""
    names = list(keys)
    for begin in range(0, len(names), 2):
        rows = "".join(
            f"<Contents><Key>{name}</Key><ETag>&quot;x-3&quot;</ETag><Size>{len(keys[name])}</Size></Contents>"
            for name in names[begin : begin + 2]
        )
        more = begin + 2 < len(names)
        token = f"<NextContinuationToken>t/{begin + 2}</NextContinuationToken>" if more else ""
        head = f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{token}"
        query = "?list-type=2&prefix=ds004212%2Fderivatives%2Fpreprocessed%2F"
        path = f"/s3/openneuro.org{query}" + (f"&continuation-token=t%2F{begin}" if begin else "")
        xml = f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{head}{rows}</ListBucketResult>'
        web.files[path] = xml.encode()
    web.files |= {f"/s3/openneuro.org/{name}": data for name, data in keys.items()}


@pytest.fixture
def mirrors(web: Any, tmp_path: Path) -> Path:
    """Return our own table with every host on this machine."""
    lines = []
    for item in load_mirrors().listing:
        lines += ["[[listing]]", f'api = "{web.url}/{item.host}"']
        lines += [f"{key} = {json.dumps(value)}" for key, value in item.model_dump(exclude={"api"}).items()]
    path = tmp_path / "mirrors.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [*map(str, arguments), "--attempts", "2"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def pictures(web: Any) -> dict[str, bytes]:
    training = {f"training_images/00001_aardvark/aardvark_{i:02d}b.jpg": noise(i, 400) for i in range(3)}
    files = {
        "training_images.zip": zipped(training | {"__MACOSX/training_images/._x.jpg": b"x"}),
        "test_images.zip": zipped({"00001_aircraft_carrier/aircraft_carrier_06s.jpg": noise("t", 400)}),
        "image_metadata.npy": noise("m", 500),
    }
    on_osf(web, "y63gw", files)
    return files


def test_raw_recordings_and_pictures_come_into_the_layout_that_is_read(web: Any, mirrors: Path, tmp_path: Path) -> None:
    pictures(web)
    with_folder = {f"sub-02/{name}": data for name, data in session_files(2).items()}
    on_figshare(web, {"README.txt": b"?", "sub-01.zip": zipped(session_files(1)), "sub-02.zip": zipped(with_folder)})
    out = tmp_path / "things"
    web.faults["/files/sub-01.zip"] = ["drop:1000"]
    result = run("things-eeg2", out, "--subjects", "1-2", "--mirrors", mirrors)
    assert result.exit_code == 0, result.output
    assert subjects(out) == (1, 2)
    for subject in (1, 2):
        assert sessions(out, subject) == (1, 2, 3, 4)
        for session in (1, 2, 3, 4):
            for split in ("training", "test"):
                assert raw_path(out, subject, session, split).read_bytes() == noise((subject, session, split))
    assert metadata_path(out).read_bytes() == noise("m", 500)
    found = sorted(path.relative_to(out / "image_set").as_posix() for path in (out / "image_set").rglob("*.jpg"))
    names = [f"training_images/00001_aardvark/aardvark_{i:02d}b.jpg" for i in range(3)]
    assert found == ["test_images/00001_aircraft_carrier/aircraft_carrier_06s.jpg", *names]
    assert not list(out.rglob("*.zip")) + list(out.rglob("*.part*"))
    assert "bytes=1000-" in web.ranges("/files/sub-01.zip")

    web.asked.clear()
    assert run("things-eeg2", out, "--subjects", "1-2", "--mirrors", mirrors).exit_code == 0
    assert [path for path, _ in web.asked if "/files/sub" in path or "/download" in path] == []
    raw_path(out, 2, 3, "test").unlink()  # what is lost comes again
    assert run("things-eeg2", out, "--subjects", "1-2", "--mirrors", mirrors).exit_code == 0
    assert raw_path(out, 2, 3, "test").read_bytes() == noise((2, 3, "test"))


def test_what_fails_is_named_and_the_rest_comes(web: Any, mirrors: Path, tmp_path: Path) -> None:
    pictures(web)
    files = {f"sub-{i:02d}.zip": zipped(session_files(i, 3 if i == 2 else 4)) for i in (1, 2, 3, 5)}
    on_figshare(web, files)
    web.files["/files/sub-03.zip"] = bytes(len(files["sub-03.zip"]))  # the checksum is wrong
    web.files.pop("/files/sub-05.zip")  # 404
    out = tmp_path / "things"
    result = run("things-eeg2", out, "--subjects", "1-5", "--kind", "raw", "--mirrors", mirrors)
    assert result.exit_code == 1
    text = " ".join(result.output.split())
    assert "sub-03.zip from" in text
    assert "and was deleted" in text
    assert "/files/sub-05.zip: HTTP 404" in text
    assert "subject 2, session 4: no raw_eeg_training.npy and no raw_eeg_test.npy" in text
    assert "subject 4, session 1: no raw_eeg_training.npy" in text
    assert "subject 1," not in text
    assert sessions(out, 1) == (1, 2, 3, 4)
    assert sessions(out, 2) == (1, 2, 3)
    assert metadata_path(out).is_file()
    assert subjects(out) == (1, 2)


def test_published_epochs_come_as_single_files(web: Any, mirrors: Path, tmp_path: Path) -> None:
    pictures(web)
    names = ("preprocessed_eeg_training.npy", "preprocessed_eeg_test.npy")
    on_osf(web, "anp5v", {f"sub-0{i}/{name}": noise((i, name)) for i in (1, 2) for name in names})
    out = tmp_path / "things"
    result = run("things-eeg2", out, "--subjects", "2", "--kind", "preprocessed", "--mirrors", mirrors)
    assert result.exit_code == 0, result.output
    assert preprocessed_path(out, 2, "test").read_bytes() == noise((2, names[1]))
    assert subjects(out) == (2,)


def test_meg_comes_from_a_bucket_without_checksums(web: Any, mirrors: Path, tmp_path: Path) -> None:
    folder = "ds004212/derivatives/preprocessed/"
    names = [f"preprocessed_P{i}-epo{part}.fif" for i in (1, 2) for part in ("", "-1", "-2")]
    on_s3(web, {folder: b"", **{folder + name: noise(name) for name in names}, f"{folder}notes.txt": b"x"})
    out = tmp_path / "meg"
    web.faults[f"/s3/openneuro.org/{folder}{names[0]}"] = ["drop:10", 503]
    result = run("things-meg", out, "--subjects", "1", "--mirrors", mirrors)
    assert result.exit_code == 0, result.output
    found = {path.name: path.read_bytes() for path in (out / "derivatives/preprocessed").iterdir()}
    assert found == {name: noise(name) for name in names[:3]}


def test_dry_run_lists_and_fetches_nothing(web: Any, mirrors: Path, tmp_path: Path) -> None:
    pictures(web)
    out = tmp_path / "things"
    result = run("things-eeg2", out, "--kind", "images", "--dry-run", "--mirrors", mirrors)
    assert result.exit_code == 0
    assert "training_images.zip" in result.output
    assert "3 files" in result.output
    assert "sha256" in result.output
    assert not out.exists()
    assert all("/osf/" in path for path, _ in web.asked)


def test_second_mirror_is_tried_and_a_listed_file_can_replace_ours(web: Any, tmp_path: Path) -> None:
    data = noise("m")
    web.files["/b/image_metadata.npy"] = data
    table = tmp_path / "mine.toml"
    table.write_text(
        "\n".join(
            f"[[file]]\ndataset='things-eeg2'\nkind='metadata'\npath='image_metadata.npy'\nsize=3000\n"
            f"md5='{hashlib.md5(data).hexdigest()}'\nurl='{web.url}/{folder}/image_metadata.npy'"
            for folder in "ab"
        ),
        encoding="utf-8",
    )
    result = run("things-eeg2", tmp_path / "out", "--kind", "metadata", "--mirrors", table)
    assert result.exit_code == 0, result.output
    assert metadata_path(tmp_path / "out").read_bytes() == data
    assert [path for path, _ in web.asked] == ["/a/image_metadata.npy", "/b/image_metadata.npy"]


def test_host_that_is_away_is_named(web: Any, mirrors: Path, tmp_path: Path) -> None:
    result = run("things-eeg2", tmp_path / "out", "--kind", "metadata", "--mirrors", mirrors)
    assert result.exit_code == 1
    assert "metadata:" in result.output
    assert "HTTP 404" in result.output


def test_full_disk_is_refused_before_anything_comes(
    web: Any, mirrors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pictures(web)
    needed = sum(map(len, files.values())) + sum(len(data) for name, data in files.items() if name.endswith("zip"))
    arguments = ("things-eeg2", tmp_path / "out", "--kind", "images", "--mirrors", mirrors)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    with pytest.raises(DatasetError, match="free") as caught:
        run(*arguments)
    assert "at least" in caught.value.expected
    assert "--subjects" in caught.value.remedy
    assert [path for path, _ in web.asked if path.startswith("/download")] == []
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert run(*arguments).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("things-eeg3",), "data set 'things-eeg3'"),
        (("things-eeg2", "--kind", "cooked"), "--kind cooked"),
        (("things-meg", "--kind", "raw"), "--kind raw"),
        (("things-eeg2", "--subjects", "0-3"), "--subjects 0-3"),
        (("things-eeg2", "--subjects", "3-2"), "--subjects 3-2"),
        (("things-meg", "--subjects", "5"), "--subjects 5"),
        (("things-eeg2", "--subjects", "one"), "--subjects one"),
        (("things-eeg2", "--mirrors", "absent.toml"), "absent.toml cannot be read"),
    ],
)
def test_wrong_option_is_refused(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        run(arguments[0], tmp_path / "out", *arguments[1:])


@pytest.mark.parametrize("line", ["files = '('", "subject = 'sub'", "host = 'ftp'", "color = 1", "kind = 'cooked'"])
def test_wrong_table_is_refused(line: str, tmp_path: Path) -> None:
    values = {"dataset": "'things-eeg2'", "kind": "'raw'", "host": "'osf'", "id": "'a'"}
    values[line.split()[0]] = line.partition("= ")[2]
    path = tmp_path / "table.toml"
    path.write_text("[[listing]]\n" + "\n".join(f"{key} = {value}" for key, value in values.items()), encoding="utf-8")
    with pytest.raises(ConfigError, match=line.split()[0]):
        load_mirrors(path)


@pytest.mark.parametrize("host", ["osf", "figshare", "s3"])
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[1]", b"{}", b'{"data": [{}], "links": {}}', b"\xff", b"<!DOCTYPE a>"]
)
def test_answer_in_another_form_is_an_error_and_not_an_empty_list(web: Any, host: str, body: bytes) -> None:
    for path in ("/osf/nodes/a/files/osfstorage/", "/figshare/articles/a/files", "/s3/a"):
        web.files[path] = body
    table = {"dataset": "things-eeg2", "kind": "raw", "id": "a", "host": host, "api": f"{web.url}/{host}"}
    if host == "figshare" and body == b"{}":
        body = b"[{}]"
        web.files["/figshare/articles/a/files"] = body
    with pytest.raises(FetchError, match="documented"):
        entries(Listing.model_validate(table), QUICK)


def test_long_article_is_read_to_its_end_and_a_list_never_leaves_its_host(web: Any) -> None:
    on_figshare(web, {f"sub-{i:03d}.zip": b"x" for i in range(250)}, "7")
    source = Listing(dataset="things-eeg2", kind="raw", host="figshare", id="7", api=f"{web.url}/figshare")
    assert len(entries(source, QUICK)) == 250
    web.files["/osf/nodes/7/files/osfstorage/"] = b'{"data": [], "links": {"next": "https://example.org/2"}}'
    with pytest.raises(FetchError, match="goes on at https://example"):
        entries(Listing(dataset="things-eeg2", kind="raw", host="osf", id="7", api=f"{web.url}/osf"), QUICK)


# Archives


def everything(parts: tuple[str, ...]) -> PurePosixPath:
    return PurePosixPath(*parts)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../up", "a/../../up", "C:\\x", "a\\b", "a\0b", "", "con.npy", "a:stream", "dir/x ", "a" * 300],
)
def test_path_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(DatasetError, match="is refused"):
        safe_parts(name)


@pytest.mark.parametrize("name", ["../up.npy", "/abs.npy", "a/../../up.npy"])
def test_archive_with_one_bad_path_writes_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "bad.zip").write_bytes(zipped({"good.npy": b"1", name: b"2"}))
    with pytest.raises(DatasetError, match=r"bad\.zip: the path"):
        unpack(tmp_path / "bad.zip", tmp_path / "out", everything)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bad.zip", "out"]


def test_archive_with_a_link_a_bomb_or_damage_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, path = tmp_path / "out", tmp_path / "a.zip"
    out.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DatasetError, match="link is a link"):
        unpack(path, out, everything)
    path.write_bytes(zipped({"zeros": bytes(10_000_000)}))
    with pytest.raises(DatasetError, match="unpacks to 10000000"):
        unpack(path, out, everything)
    path.write_bytes(zipped({"a": b"1", "b": b"2"}))
    with pytest.raises(DatasetError, match="two files go to"):
        unpack(path, out, lambda _: PurePosixPath("same"))
    whole = zipped({"a": noise(1)})
    for damaged in (b"", whole[:-40], whole[:200] + bytes(50) + whole[250:]):
        path.write_bytes(damaged)
        with pytest.raises(DatasetError, match="is damaged"):
            unpack(path, out, everything)
    assert not (out / "a").exists()
    path.write_bytes(whole)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(UnpackError, match="10 bytes free"):
        unpack(path, out, everything)


def test_bad_archive_is_deleted_so_that_the_next_run_fetches_it_anew(web: Any, mirrors: Path, tmp_path: Path) -> None:
    pictures(web)
    on_figshare(web, {"sub-01.zip": zipped({"../up.npy": b"x"})})
    out = tmp_path / "things"
    arguments = ("things-eeg2", out, "--subjects", "1", "--kind", "raw", "--mirrors", mirrors)
    result = run(*arguments)
    assert result.exit_code == 1
    assert "'../up.npy' is refused" in " ".join(result.output.split())
    assert not list(tmp_path.rglob("*.zip"))
    on_figshare(web, {"sub-01.zip": zipped(session_files(1))})
    assert run(*arguments).exit_code == 0
    assert not part_path(out / ".download" / "raw" / "sub-01.zip").exists()
