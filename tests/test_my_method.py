"""my-method keeps the promises that every method makes."""

from __future__ import annotations

from benchmark.conformance import check_method, passed
from benchmark.methods.my_method import MyMethod


def test_my_method_conforms() -> None:
    results = check_method(MyMethod)
    assert passed(results), "\n".join(result.line() for result in results if result.state != "pass")
