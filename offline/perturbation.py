"""Disturb channels of epochs by noise like their own: decoder, epochs, channels -> what is found before and after."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.decoder import Decoder
from necomimi.errors import ConfigError
from necomimi.intervals import bootstrap_interval
from necomimi.montage import canonical_name
from necomimi.regions import REGIONS, channels_by_region
from necomimi.things_eeg2 import VISUAL_CORTEX

from .judgement import searched
from .masking import replaced
from .scoring import expectation, interval_of, ranks, sign_test, units_of
from .summary import t_interval, t_test

__all__ = ["FIGURES", "Condition", "choose_channels", "list_conditions", "measure", "noise_like", "over_people"]

Row = dict[str, Any]
FIGURES = ("top1", "top5", "two_way")
CLUSTERED = ("subject", "n_queries", "interval", "units")  # keys of a row that its mean over people does not have


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Which channels are disturbed.

    Parameters
    ----------
    kind : {"before", "chosen", "region", "channel"}
        None, those that were asked for, those of a region, or one.
    name : str
    ch_names : tuple of str
    """

    kind: str
    name: str
    ch_names: tuple[str, ...]


def choose_channels(ch_names: Sequence[str], channels: str | None = None, region: str | None = None) -> Condition:
    """Return the channels that were asked for; those over visual cortex by default, as far as they are there.

    Parameters
    ----------
    ch_names : sequence of str
        Of the decoder.
    channels, region : str, optional
        Names separated by commas, of channels or of regions (`necomimi.regions`).

    Raises
    ------
    ConfigError
        Both were given, no name at all, or one that is not there.
    """
    if channels is not None and region is not None:
        raise ConfigError("--channels and --region", "one of them, or neither")
    listed = channels if region is None else region
    wanted = [name.strip() for name in (listed or "").split(",") if name.strip()]
    if listed is not None and not wanted:
        raise ConfigError(f"{listed!r} for --channels or --region", "at least one name")
    if region is not None:
        found = channels_by_region(ch_names)
        _require_all([name for name in wanted if name not in found], found, "regions of the decoder's channels")
        chosen = {i for name in wanted for i in found[name]}
        name = ", ".join(found_region for found_region in REGIONS if found_region in wanted)
    else:
        index = {canonical_name(name): i for i, name in enumerate(ch_names)}
        given = wanted or list(VISUAL_CORTEX)
        missing = [name for name in given if canonical_name(name) not in index]
        if wanted or len(missing) == len(given):
            _require_all(missing, ch_names, "channels of the decoder")
        chosen = {index[canonical_name(name)] for name in given if name not in missing}
        name = "" if wanted else "visual cortex"
    names = tuple(ch_names[i] for i in sorted(chosen))
    return Condition(kind="chosen", name=name or ", ".join(names), ch_names=names)


def _require_all(missing: Sequence[str], known: Sequence[str] | dict[str, Any], what: str) -> None:
    """Make sure that nothing is missing."""
    if missing:
        raise ConfigError(
            f"no {', '.join(missing)} among the {what}",
            ", ".join(known) or "names of the 10-20 system",
            "--channels NAME,NAME or --region NAME",
        )


def list_conditions(ch_names: Sequence[str], chosen: Condition, *, each: bool) -> list[Condition]:
    """Return what to measure: nothing disturbed, what was chosen and, with `each`, every region and every channel."""
    conditions = [Condition(kind="before", name="undisturbed", ch_names=()), chosen]
    if each:
        conditions += [
            Condition(kind="region", name=region, ch_names=tuple(ch_names[i] for i in indices))
            for region, indices in channels_by_region(ch_names).items()
        ]
        conditions += [Condition(kind="channel", name=name, ch_names=(name,)) for name in ch_names]
    return conditions


def noise_like(data: NDArray[np.float32], channels: Sequence[int], key: Sequence[int]) -> NDArray[np.float32]:
    """Return Gaussian noise with each channel's own mean and standard deviation, over all epochs and samples.

    A channel's noise does not depend on which others are disturbed with it, so conditions differ by no luck of the
    draw.

    Parameters
    ----------
    data : ndarray of float32, shape (n_epochs, n_channels, n_times)
    channels : sequence of int
    key : sequence of int
        Seeds; the channel's number is one more.

    Returns
    -------
    ndarray of float32, shape (n_epochs, len(channels), n_times)
    """
    noise = np.empty((len(data), len(channels), data.shape[2]), dtype=np.float32)
    for i, channel in enumerate(channels):
        drawn = np.random.default_rng([*key, channel]).standard_normal(noise[:, i].shape, dtype=np.float32)
        own = data[:, channel]
        noise[:, i] = own.mean(dtype=np.float64) + own.std(dtype=np.float64) * drawn
    return noise


def measure(
    decoder: Decoder,
    data: NDArray[np.float32],
    targets: NDArray[np.intp],
    conditions: Sequence[Condition],
    *,
    subject: str,
    n_seeds: int,
    on_embedded: Callable[[Condition, int, NDArray[np.float32]], None] = lambda condition, seed, vectors: None,
) -> list[Row]:
    """Return what a decoder finds under each condition; nothing is trained again.

    Parameters
    ----------
    decoder : Decoder
        With the gallery to search; it decodes the person's epochs already (`necomimi.offline.matching`).
    data : ndarray of float32, shape (n_queries, n_channels, n_times)
        What the encoder is given, after averaging: noise in each presentation would average out.
    targets : ndarray of int, shape (n_queries,)
        The right class of each.
    conditions : sequence of Condition
        Of `list_conditions`.
    subject : str
        Each person has noise of their own.
    n_seeds : int
        Draws of the noise.
    on_embedded : callable
        Called with the condition, the seed and the embeddings, float32 of shape (n_queries, n_dims), of every draw.

    Returns
    -------
    list of dict
        One row per condition: "subject", "kind", "name", "channels" (names), "n_seeds", "n_queries", "n_classes";
        "top1", "top5" and "two_way" (2-way accuracy, which moves with every rank), means over seeds, each with
        "chance_FIGURE", "FIGURE_sd" (over seeds; None for one) and, but for "two_way", "FIGURE_interval" (95 %, over
        queries; its kind is "interval"); "cosine", the mean cosine of an embedding before and after; and "loss_FIGURE",
        accuracy before less after, with "loss_FIGURE_interval" (95 %, bootstrap) and "loss_FIGURE_p"
        (`scoring.sign_test`), both over "units": "concepts", or "queries" where there are fewer than ten concepts.

    Raises
    ------
    ConfigError
        There are fewer than two classes to choose among.
    """
    gallery = searched(decoder)
    if len(gallery.classes) < 2:
        raise ConfigError(f"a gallery of {len(gallery.classes)} class", "two or more to choose among")
    ch_names = decoder.preprocessor.ch_names
    data = np.array(data)
    person, rows = zlib.crc32(subject.encode()), []
    undisturbed: NDArray[np.float32] | None = None
    before: dict[str, NDArray[np.float64]] = {}
    for condition in conditions:
        channels = [ch_names.index(name) for name in condition.ch_names]
        found, cosines = [], []
        for seed in range(n_seeds if channels else 1):
            with replaced(data, channels, noise_like(data, channels, (seed, person))):
                vectors = decoder.embed(data)
            on_embedded(condition, seed, vectors)
            if undisturbed is None:
                undisturbed = vectors
            cosines.append(float((vectors * undisturbed).sum(axis=1).mean()))
            found.append(_hits(gallery.class_scores(vectors, decoder.logit_scale), targets))
        hits = {figure: np.stack([one[figure] for one in found]) for figure in FIGURES}  # (n_seeds, n_queries)
        before = before or {figure: one[0] for figure, one in hits.items()}
        row: Row = {"subject": subject, "kind": condition.kind, "name": condition.name}
        row |= {"channels": list(condition.ch_names), "n_seeds": len(found), "n_queries": len(data)}
        row |= {"n_classes": len(gallery.classes), "cosine": float(np.mean(cosines))}
        rows.append(row | _figures(hits, targets, len(gallery.classes)) | _losses(before, hits, targets))
    return rows


def _hits(scores: NDArray[np.float64], targets: NDArray[np.intp]) -> dict[str, NDArray[np.float64]]:
    """Return the expectation of a hit of each query, for each figure."""
    found = ranks(scores, targets)
    top5 = expectation(*found, top=min(5, scores.shape[1]))
    return {"top1": expectation(*found), "top5": top5, "two_way": expectation(*found, k=2)}


def _figures(hits: dict[str, NDArray[np.float64]], targets: NDArray[np.intp], n_classes: int) -> Row:
    """Return accuracies with chance, spread over seeds and intervals."""
    chances = {"top1": 1 / n_classes, "top5": min(5, n_classes) / n_classes, "two_way": 0.5}
    row: Row = {}
    for figure, values in hits.items():
        each = values.mean(axis=1)
        row[figure], row[f"chance_{figure}"] = float(each.mean()), chances[figure]
        row[f"{figure}_sd"] = float(each.std(ddof=1)) if len(each) > 1 else None
        if figure != "two_way":
            low, high, row["interval"] = interval_of(values.mean(axis=0), targets)
            row[f"{figure}_interval"] = [low, high]
    return row


def _losses(
    before: dict[str, NDArray[np.float64]], hits: dict[str, NDArray[np.float64]], targets: NDArray[np.intp]
) -> Row:
    """Return what is lost, query by query: its mean, interval and test."""
    units = units_of(targets)
    row: Row = {"units": "concepts" if units is targets else "queries"}
    for figure, values in hits.items():
        lost = before[figure] - values.mean(axis=0)
        row[f"loss_{figure}"] = float(lost.mean())
        row[f"loss_{figure}_interval"] = list(bootstrap_interval(lost, units))
        row[f"loss_{figure}_p"] = sign_test(lost, units)
    return row


def over_people(rows: Sequence[Row]) -> list[Row]:
    """Return the mean over people of each condition; people are the units of intervals and tests.

    Parameters
    ----------
    rows : sequence of dict
        Of `measure`, of everybody.

    Returns
    -------
    list of dict
        One row per condition, none for one person: the keys of `measure`, without "FIGURE_sd", and "n_subjects".
        Intervals are 95 % t intervals, p values those of a paired t test (None where all differ by the same amount).
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["kind"], row["name"]), []).append(row)
    means = []
    for group in groups.values():
        if len(group) < 2:
            continue
        mean = {key: value for key, value in group[0].items() if key not in CLUSTERED and not key.endswith("_sd")}
        mean |= {"n_subjects": len(group), "cosine": float(np.mean([row["cosine"] for row in group]))}
        for name in (f"{prefix}{figure}" for figure in FIGURES for prefix in ("", "loss_")):
            values = [row[name] for row in group]
            interval = t_interval(values)
            assert interval is not None  # there are two or more
            lowest = -1.0 if name.startswith("loss_") else 0.0
            mean |= {name: float(np.mean(values)), f"{name}_interval": np.clip(interval, lowest, 1.0).tolist()}
            if name.startswith("loss_"):
                mean[f"{name}_p"] = t_test(values)
        means.append(mean)
    return means
