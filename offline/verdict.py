"""Say in plain words whether a decoder serves its person: cross-validated accuracy, p value -> verdict, sentence.

Three verdicts:

- "not usable": the answers cannot be told from guessing, p >= ``ALPHA``;
- "weak": better than guessing, but the right picture is found too seldom to be of use;
- "usable": better than guessing, its 95 % interval begins above chance, and accuracy has come at least the share
  ``WORTH`` of the way from chance to certainty, (accuracy - chance) / (1 - chance).

The accuracy is that of the mean over all presentations of a picture: "among the five best" where at least ``FEW``
concepts are chosen from, else "the best".
"""

from __future__ import annotations

from typing import Any, Literal

__all__ = ["ALPHA", "FEW", "WORTH", "Verdict", "judge_use"]

Verdict = Literal["usable", "weak", "not usable"]

ALPHA = 0.05
WORTH = 0.2
FEW = 10


def judge_use(row: dict[str, Any], p: float, presentations: int) -> tuple[Verdict, str]:
    """Return the verdict, and a sentence for the person who wears the cap.

    Parameters
    ----------
    row : dict
        "n_classes", and for "top1" and "top5" the accuracy, "top1_interval" and "chance_top1".
    p : float
        Of guessing.
    presentations : int
        Behind each answer.
    """
    top = "top5" if row["n_classes"] >= FEW else "top1"
    found, chance, (low, high) = row[top], row[f"chance_{top}"], row[f"{top}_interval"]
    place = "among the five best" if top == "top5" else "the best"
    times = f"{presentations} presentation{'s' if presentations != 1 else ''}"
    figures = (
        f"with {times} the right picture is {place} of {row['n_classes']} in {100 * found:.0f} % "
        f"({100 * low:.0f}–{100 * high:.0f} %; chance {100 * chance:.1f} %)"
    )
    if p >= ALPHA:
        remedy = "record more, or check the signal"
        return "not usable", f"not usable: not distinguishable from guessing (p = {p:.2g}): {figures}; {remedy}"
    if low > chance and found - chance >= WORTH * (1 - chance):
        return "usable", f"usable: {figures}"
    remedy = "record more, or show each picture more often"
    return "weak", f"weak: better than guessing (p = {p:.2g}), but {figures}; {remedy}"
