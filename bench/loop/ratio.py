# SPDX-License-Identifier: MIT
"""Ratios of contestants that took turns, and the interval of their median."""
import statistics


def interval(values):
    """The 95 % interval of the median: the widest order statistics that binomial(n, 1/2) leaves out with 2.5 % each.
    Below six values it is all of them, and holds the median less often than that."""
    n, ordered, tail, rank = len(values), sorted(values), 0.0, 0
    term = 0.5**n
    while tail + term <= 0.025:
        tail += term
        rank += 1
        term *= (n - rank + 1) / rank
    rank = max(rank - 1, 0)
    return ordered[rank], ordered[n - 1 - rank]


def spread(values, digits=3):
    """'median (low - high)'"""
    low, high = interval(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} - {high:.{digits}f})"


def row(section, what, values, **more):
    """As it is kept in the file of --json."""
    low, high = interval(values)
    return {"section": section, "what": what, "median": statistics.median(values), "low": low, "high": high,
            "n": len(values), **more}
