"""The checks that every method must pass, under the address that authors' tests import."""

from benchmark.authoring.conformance.checks import CHECKS
from benchmark.authoring.conformance.runner import Result, check_method, passed

__all__ = ["CHECKS", "Result", "check_method", "passed"]
