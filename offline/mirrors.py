"""Where data sets can be had: a table of mirrors, and lists of OSF, figshare and S3 -> files, sizes, checksums."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode, urlsplit

from pydantic import Field, field_validator

from necomimi.config import Settings, load_settings

from .fetching import PATIENCE, FetchError, Patience, Remote, read

__all__ = ["Entry", "File", "Listing", "Mirrors", "entries", "load_mirrors"]

DataSet = Literal["things-eeg2", "things-meg"]
Kind = Literal["raw", "preprocessed", "images", "metadata"]
Hex32 = Annotated[str, Field(pattern="^[0-9a-fA-F]{32}$")]
Hex64 = Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]
API = {
    "osf": "https://api.osf.io/v2",
    "figshare": "https://api.figshare.com/v2",
    "s3": "https://s3.amazonaws.com",
}
Ask = Callable[[str], bytes]  # address of a page of a listing -> the page
MAX_PAGES = 2000  # of one listing: a host that never ends is left


class Listing(Settings):
    """A project whose host lists its files; see the comments in assets/mirrors.toml."""

    dataset: DataSet
    kind: Kind
    host: Literal["osf", "figshare", "s3"]
    id: str
    files: str = ""
    subject: str = ""
    api: str = ""

    @field_validator("files", "subject")
    @classmethod
    def _is_expression(cls, value: str) -> str:
        """Refuse what is no regular expression."""
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value

    @field_validator("subject")
    @classmethod
    def _has_group(cls, value: str) -> str:
        """Refuse an expression that gives no number."""
        if value and re.compile(value).groups < 1:
            raise ValueError("needs a group for the number, as in sub-(\\d+)")
        return value


class File(Settings):
    """One file at a known address; see the comments in assets/mirrors.toml."""

    dataset: DataSet
    kind: Kind
    url: str
    path: str
    subject: int | None = None
    size: Annotated[int, Field(ge=0)] | None = None
    md5: Hex32 | None = None
    sha256: Hex64 | None = None


class Mirrors(Settings):
    """The table of mirrors."""

    listing: tuple[Listing, ...] = ()
    file: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a data set.

    Parameters
    ----------
    kind : str
        "raw", "preprocessed", "images" or "metadata".
    path : str
        Its path in the host's project, with slashes.
    subject : int, optional
        Whose it is, from 1; None if it belongs to all.
    remote : Remote
        Where it can be had.
    """

    kind: str
    path: str
    subject: int | None
    remote: Remote


def load_mirrors(path: Path | None = None) -> Mirrors:
    """Return the table of mirrors.

    Parameters
    ----------
    path : Path, optional
        A user's table: for the data sets and kinds that it names, it replaces ours.

    Raises
    ------
    ConfigError
        It cannot be read, or holds what a table does not.
    """
    with as_file(files("necomimi") / "assets" / "mirrors.toml") as ours:
        table = load_settings(Mirrors, ours)
    if path is None:
        return table
    theirs = load_settings(Mirrors, path)
    named = {(item.dataset, item.kind) for item in theirs.listing} | {(item.dataset, item.kind) for item in theirs.file}
    return Mirrors(
        listing=(*theirs.listing, *(item for item in table.listing if (item.dataset, item.kind) not in named)),
        file=(*theirs.file, *(item for item in table.file if (item.dataset, item.kind) not in named)),
    )


def entries(source: Listing | File, patience: Patience = PATIENCE) -> list[Entry]:
    """Return the files of one entry of the table, asking its host where that is needed.

    Raises
    ------
    FetchError
        The host does not answer, or not in its documented form.
    """
    if isinstance(source, File):
        checksum = f"sha256:{source.sha256}" if source.sha256 else f"md5:{source.md5}" if source.md5 else ""
        remote = Remote(url=source.url, size=source.size, checksum=checksum)
        return [Entry(kind=source.kind, path=source.path, subject=source.subject, remote=remote)]
    api = source.api.rstrip("/") or API[source.host]
    ask = partial(read, patience=patience)
    walk = {"osf": _osf, "figshare": _figshare, "s3": _s3}[source.host]
    found = []
    try:
        for path, remote in walk(api, source.id, ask):
            if re.search(source.files, path):
                match = re.search(source.subject, path) if source.subject else None
                number = int(match[1]) if match else None
                found.append(Entry(kind=source.kind, path=path, subject=number, remote=remote))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, ElementTree.ParseError) as error:
        raise FetchError(
            f"{source.host} answers for {source.id} in a form that is not its documented one: {error!r}",
            "a list of files",
            "name the files one by one, with --mirrors FILE",
        ) from error
    return found


def _pages_left(pages: int, where: str) -> None:
    """Refuse a listing without an end."""
    if pages > MAX_PAGES:
        raise FetchError(f"{where} lists more than {MAX_PAGES} pages", "a list that ends")


def _count(value: Any) -> int | None:
    """Return a size in bytes, None if it is not given."""
    return None if value is None else int(value)


def _osf(api: str, project: str, ask: Ask) -> Iterator[tuple[str, Remote]]:
    """Walk through the folders of an OSF project (https://developer.osf.io, "List all node files")."""
    pages = [f"{api}/nodes/{quote(project, safe='')}/files/osfstorage/?" + urlencode({"page[size]": 100})]
    seen: set[str] = set()
    while pages:
        url = pages.pop()
        if url in seen or urlsplit(url)[:2] != urlsplit(api)[:2]:
            raise FetchError(f"the list of OSF project {project} goes on at {url}", f"a new page of {api}")
        seen.add(url)
        _pages_left(len(seen), f"OSF project {project}")
        page = json.loads(ask(url))
        if following := page["links"].get("next"):
            pages.append(following)
        for item in page["data"]:
            attributes = item["attributes"]
            if attributes["kind"] == "folder":
                pages.append(item["relationships"]["files"]["links"]["related"]["href"])
                continue
            hashes = (attributes.get("extra") or {}).get("hashes") or {}
            named = next((f"{name}:{hashes[name]}" for name in ("sha256", "md5") if hashes.get(name)), "")
            path = str(attributes.get("materialized_path") or attributes["name"]).lstrip("/")
            yield path, Remote(url=item["links"]["download"], size=_count(attributes.get("size")), checksum=named)


def _figshare(api: str, article: str, ask: Ask) -> Iterator[tuple[str, Remote]]:
    """Go through the files of a figshare article (https://docs.figshare.com, "List article files")."""
    page = 0
    while True:
        page += 1
        _pages_left(page, f"figshare article {article}")
        query = urlencode({"page": page, "page_size": 100})
        items = json.loads(ask(f"{api}/articles/{quote(article, safe='')}/files?{query}"))
        for item in items:
            md5 = item.get("computed_md5") or item.get("supplied_md5")
            remote = Remote(
                url=item["download_url"], size=_count(item.get("size")), checksum=f"md5:{md5}" if md5 else ""
            )
            yield str(item["name"]), remote
        if len(items) < 100:
            return


def _s3(api: str, where: str, ask: Ask) -> Iterator[tuple[str, Remote]]:
    """Go through the keys of a public S3 bucket (Amazon S3 API reference, ListObjectsV2).

    It gives no checksums: the ETag of a large object is none.
    """
    bucket, _, prefix = where.partition("/")
    query, pages = {"list-type": "2", "prefix": prefix}, 0
    while True:
        pages += 1
        _pages_left(pages, f"bucket {bucket}")
        body = ask(f"{api}/{quote(bucket)}?{urlencode(query)}")
        if b"<!DOCTYPE" in body:
            raise ValueError("a document type")
        tree = ElementTree.fromstring(body)
        if tree.tag.rpartition("}")[2] != "ListBucketResult":
            raise ValueError(tree.tag)
        for item in tree.iterfind("{*}Contents"):
            key = item.findtext("{*}Key", "")
            if not key.endswith("/"):
                size = int(item.findtext("{*}Size", ""))
                yield key.partition("/")[2], Remote(url=f"{api}/{quote(bucket)}/{quote(key)}", size=size)
        if tree.findtext("{*}IsTruncated", "false") != "true":
            return
        query["continuation-token"] = tree.findtext("{*}NextContinuationToken", "")
