"""Exported numbers: as many digits as mean something on every processor, and a comparison that knows so.

The order in which a processor adds changes a mean in its 16th digit. What is exported (CSV, Parquet, JSON, the
page) has ten significant digits and at most twelve decimals; records keep every digit. A number may still lie on an
edge between two roundings, so exported numbers are compared as numbers.
"""

from __future__ import annotations

import math
import re
from typing import Any

SIGNIFICANT, DECIMALS = 10, 12
#: A step in the last digit that is kept, and some room; far below what four decimals show.
RELATIVE, ABSOLUTE = 2e-9, 2e-12
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?!\w|\.\d)")


def rounded(value: float) -> float:
    """The value to `SIGNIFICANT` digits and at most `DECIMALS` decimals; -0.0 is 0.0, what is not finite stays."""
    return round(float(f"{value:.{SIGNIFICANT}g}"), DECIMALS) + 0.0 if math.isfinite(value) else value


def rounded_all(content: Any) -> Any:
    """The same of every float in nested dictionaries, lists and tuples (which become lists)."""
    if isinstance(content, float):
        return rounded(content)
    if isinstance(content, dict):
        return {key: rounded_all(value) for key, value in content.items()}
    return [rounded_all(value) for value in content] if isinstance(content, list | tuple) else content


def same_text(one: str, other: str) -> bool:
    """Whether two exported texts say the same: equal but for the last digits of decimals (`RELATIVE`)."""
    if one == other:
        return True
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    return all(map(_close, _NUMBER.findall(one), _NUMBER.findall(other)))


def _close(one: str, other: str) -> bool:
    if one == other:
        return True
    fractions = all(any(sign in text for sign in ".eE") for text in (one, other))
    return fractions and math.isclose(float(one), float(other), rel_tol=RELATIVE, abs_tol=ABSOLUTE)
