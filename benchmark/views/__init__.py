"""Views: the ways to evaluate one trained model. Names, families and what is computed from their scores.

Nothing here imports torch or numpy: lists, plans, `status` and the report read views without them.
"""

from benchmark.views.grammar import (
    COMMON,
    CORRUPTIONS,
    EXTRA,
    FAMILIES,
    KINDS,
    LISTING,
    SEVERITIES,
    ParsedView,
    expand_views,
    parse_view,
)
from benchmark.views.robustness import (
    Cells,
    corruption_cells,
    corruption_error_ratio,
    mean_corruption_drop,
    mean_corruption_score,
    relative_drop,
)

__all__ = [
    "COMMON",
    "CORRUPTIONS",
    "EXTRA",
    "FAMILIES",
    "KINDS",
    "LISTING",
    "SEVERITIES",
    "Cells",
    "ParsedView",
    "corruption_cells",
    "corruption_error_ratio",
    "expand_views",
    "mean_corruption_drop",
    "mean_corruption_score",
    "parse_view",
    "relative_drop",
]
