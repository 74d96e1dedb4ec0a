"""The list of checks that every method must pass, for the command line, for tests, and for authors.

A check is a small function in `CHECKS` that looks at one promise of the contract and says what it expected
and what it found. Fits are shared between checks; a check whose fit broke is `blocked` by the check that owns
that fit, so that one fault shows up under one name. A check that ran nothing fails.
"""

from __future__ import annotations

from benchmark.authoring.conformance.checks import CHECKS
from benchmark.authoring.conformance.runner import Result, check_method, passed

__all__ = ["CHECKS", "Result", "check_method", "passed"]
