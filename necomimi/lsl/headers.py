"""What a stream says of itself: pylsl header -> StreamInfo, and words for people."""

from __future__ import annotations

from typing import Any

import pylsl

from necomimi.records import StreamInfo, stated_speed, stated_steps

__all__ = ["describe", "text_of", "to_record"]


def text_of(value: Any) -> str:
    """Return a header string, whatever its bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def to_record(info: pylsl.StreamInfo) -> StreamInfo:
    """Return our record of a header; before a stream is opened, without its channels' names, units and types."""
    labels: list[str] = []
    units: list[str] = []
    types: list[str] = []
    channel = info.desc().child("channels").child("channel")
    while not channel.empty() and len(labels) < info.channel_count():
        labels.append(text_of(channel.child_value("label")).strip())
        units.append(text_of(channel.child_value("unit")).strip())
        types.append(text_of(channel.child_value("type")).strip())
        channel = channel.next_sibling("channel")
    n_silent = info.channel_count() - len(labels)
    labels = [label or f"#{i + 1}" for i, label in enumerate(labels + [""] * n_silent)]
    return StreamInfo(
        name=text_of(info.name()),
        type=text_of(info.type()),
        source_id=text_of(info.source_id()),
        uid=text_of(info.uid()),
        ch_names=tuple(labels),
        sfreq=float(info.nominal_srate()),
        units=tuple(units + [""] * n_silent),
        ch_types=tuple(types + [""] * n_silent),
        applied=stated_steps(text_of(info.desc().child("preprocessing").child_value("applied"))),
        speed=stated_speed(text_of(info.desc().child("replay").child_value("speed"))),
    )


def describe(info: StreamInfo) -> str:
    """Return one line that tells a stream from its neighbours."""
    rate = f"{info.sfreq:g} Hz" if info.sfreq else "irregular"
    return f"{info.name!r} (type {info.type}, {len(info.ch_names)} channels, {rate}, source_id {info.source_id!r})"
