"""Sum up a sweep: results of jobs -> rows per subject, means with intervals, paired differences of encoders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .published import Protocol
from .published import rows as published_rows

__all__ = ["summarise", "t_interval", "t_test"]

Record = dict[str, Any]
Row = dict[str, Any]
FIGURES = ("top1", "top5", "auc")


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """Return the tables of a sweep.

    Seeds are averaged first, within each subject; subjects are the units of every interval and of every paired test,
    since seeds of one subject are not independent of one another.

    Parameters
    ----------
    records : sequence of dict
        As `necomimi.offline.jobs.work` returns them, of one sweep and at least one.

    Returns
    -------
    dict
        "protocol" ("within subject" or "leave-one-subject-out"), "gallery" (what a query is compared with),
        "transductive" (whether whitening has seen test epochs), "sources" (what the epochs were made from), "n_jobs",
        "missing" (names of jobs without a result, among all combinations of the subjects, encoders and seeds that have
        one), "failed_guards" (per name of a job, the checks that failed), "subjects", "encoders", "seeds", "published"
        (`necomimi.offline.published.rows`; none unless these are all 200 test concepts of THINGS-EEG2 itself);

        "rows", one per encoder, subject and number of repetitions ("all" comes last): "n_seeds", "n_queries",
        "n_classes", "chance_top1", "chance_top5", "top1" and "top5" (means over seeds) with "top1_sd" and "top5_sd"
        (over seeds; None for one seed), "k_way" per k, for two classes "auc" and "auc_sd", "validation_top1" (of the
        chosen pass), "validation_top1_last" (of the last pass), "validation_n_ways", "best_epoch" and "epochs" (mean
        chosen pass, passes made), "n_parameters", "training_s" (seconds, mean over seeds);

        "means", one per encoder and number of repetitions: the same figures over subjects, with "n_subjects", and
        "top1_interval" and "top5_interval" (95 % t interval over subjects; None for one subject);

        "differences", one per pair of encoders: "encoders" (a pair), "n_subjects" (those with a seed that both have),
        and "top1", "top1_interval", "top1_p" (first less second, all repetitions; t interval and paired t test over
        subjects, None for one subject), likewise for top5.
    """
    by_name = {(record["encoder"], record["subject"], record["seed"]): record for record in records}
    encoders, subjects, seeds = (list(dict.fromkeys(sorted(values))) for values in zip(*by_name, strict=True))
    rows = [
        _over_seeds(group)
        for encoder, subject in product(encoders, subjects)
        if (group := [by_name[encoder, subject, seed] for seed in seeds if (encoder, subject, seed) in by_name])
    ]
    flat = [row for group in rows for row in group]
    missing = [names for names in product(encoders, subjects, seeds) if names not in by_name]
    first = records[0]
    protocol: Protocol = "leave-one-subject-out" if first["leave_one_out"] else "within subject"
    return {
        "protocol": protocol,
        "gallery": first["test"]["gallery"]["kind"],
        "transductive": any(record["transductive"] for record in records),
        "sources": sorted({record["source"] for record in records}),
        "n_jobs": len(by_name),
        "missing": [f"{subject}_{encoder}_{seed}" for encoder, subject, seed in missing],
        "failed_guards": {
            record["name"]: failed
            for record in records
            if (failed := [guard["name"] for guard in record["guards"] if guard["passed"] is False])
        },
        "subjects": subjects,
        "encoders": encoders,
        "seeds": seeds,
        "published": published_rows(protocol) if all(record["things_eeg2"] for record in records) else [],
        "rows": flat,
        "means": [
            _over_subjects(group)
            for encoder in encoders
            for group in _by_repetitions(row for row in flat if row["encoder"] == encoder)
        ],
        "differences": [_difference(by_name, pair, subjects, seeds) for pair in combinations(encoders, 2)],
    }


def t_interval(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the 95 % t interval of the mean of independent values; None for fewer than two.

    Parameters
    ----------
    values : sequence of float
        One per subject.
    """
    from scipy.stats import t

    if len(values) < 2:
        return None
    centre, half = np.mean(values), t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(centre - half), float(centre + half)


def t_test(values: Sequence[float] | NDArray[np.float64]) -> float | None:
    """Return the p value of a mean of zero, two-sided: a paired t test where values are differences.

    None for fewer than two values, and for values that are all the same: the statistic is not defined there.

    Parameters
    ----------
    values : sequence of float
        One per subject.
    """
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(values, 0.0).pvalue) if len(values) > 1 and np.ptp(values) > 0 else None


def _over_seeds(records: Sequence[Record]) -> list[Row]:
    """Return one row per number of repetitions: means and standard deviations over the seeds of one subject."""
    first = records[0]
    best, last = ([record["validation"][which] for record in records] for which in ("best", "last"))
    facts = {
        "validation_top1": _mean(found["top1"] for found in best),
        "validation_top1_last": _mean(found["top1"] for found in last),
        "validation_n_ways": first["validation"]["n_ways"],
        "best_epoch": _mean(record["validation"]["best_epoch"] for record in records),
        "epochs": first["settings"]["epochs"],
        "n_parameters": first["n_parameters"],
        "training_s": _mean(record["training_s"] for record in records),
    }
    rows = []
    for group in _by_repetitions(row for record in records for row in record["test"]["rows"]):
        row: Row = {"encoder": first["encoder"], "subject": first["subject"], "repetitions": group[0]["repetitions"]}
        row["n_seeds"] = len(group)
        row |= {key: group[0][key] for key in ("n_queries", "n_classes", "chance_top1", "chance_top5")}
        for figure in FIGURES:
            if figure in group[0]:
                values = [found[figure] for found in group]
                row[figure] = _mean(values)
                row[f"{figure}_sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
        row["k_way"] = _mean_ways(group)
        rows.append(row | facts)
    return rows


def _over_subjects(rows: Sequence[Row]) -> Row:
    """Return the mean over subjects of one encoder and number of repetitions."""
    first = rows[0]
    mean: Row = {"encoder": first["encoder"], "repetitions": first["repetitions"], "n_subjects": len(rows)}
    mean |= {key: first[key] for key in ("n_classes", "chance_top1", "chance_top5", "validation_n_ways", "epochs")}
    for figure in FIGURES:
        if all(figure in row for row in rows):
            values = [row[figure] for row in rows]
            mean[figure] = _mean(values)
            interval = t_interval(values)
            mean[f"{figure}_interval"] = interval and [max(0.0, interval[0]), min(1.0, interval[1])]
    mean["k_way"] = _mean_ways(rows)
    for key in ("validation_top1", "validation_top1_last", "best_epoch", "training_s"):
        mean[key] = _mean(row[key] for row in rows)
    mean["n_parameters"] = max(
        row["n_parameters"] for row in rows
    )  # a layer for each person makes folds differ a little
    return mean


def _difference(
    by_name: dict[tuple[str, str, int], Record], pair: tuple[str, str], subjects: Sequence[str], seeds: Sequence[int]
) -> Row:
    """Return the paired difference of two encoders over the subjects and seeds that both have, all repetitions."""
    apart: dict[str, list[float]] = {"top1": [], "top5": []}
    for subject in subjects:
        both = [seed for seed in seeds if all((name, subject, seed) in by_name for name in pair)]
        for figure, values in apart.items():
            found = [[by_name[name, subject, seed]["test"]["rows"][-1][figure] for seed in both] for name in pair]
            values += [float(np.mean(found[0]) - np.mean(found[1]))] if both else []
    row: Row = {"encoders": list(pair), "n_subjects": len(apart["top1"])}
    for figure, values in apart.items():
        interval = t_interval(values)
        row[figure] = _mean(values) if values else None
        row[f"{figure}_interval"] = interval and list(interval)
        row[f"{figure}_p"] = t_test(values)
    return row


def _by_repetitions(rows: Iterable[Row]) -> list[list[Row]]:
    """Return rows of the same number of repetitions together, ascending, "all" last."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["repetitions"], []).append(row)
    return [groups[name] for name in sorted(groups, key=lambda name: np.inf if name == "all" else name)]


def _mean_ways(rows: Sequence[Row]) -> dict[str, float]:
    """Return the mean k-way accuracy of rows, for the k that all have."""
    return {
        k: _mean(row["k_way"][k] for row in rows) for k in rows[0]["k_way"] if all(k in row["k_way"] for row in rows)
    }


def _mean(values: Iterable[float]) -> float:
    """Return the mean as a plain number."""
    return float(np.mean(list(values)))
