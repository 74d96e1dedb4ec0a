"""Comparisons, ranks and robustness."""
