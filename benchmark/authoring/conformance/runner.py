"""Runs the list of checks over one method and judges each finding, known failures included."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from benchmark.authoring.conformance.checks import CHECKS
from benchmark.authoring.conformance.lab import Broken, Check, Finding, Lab
from benchmark.contracts import HashMethod
from benchmark.errors import one_line, trace_of

State = Literal["pass", "FAIL", "known", "blocked"]


@dataclass(frozen=True)
class Result:
    """One check of one method. `known`: it fails for a declared reason. `blocked`: the check it needs failed.
    `trace`: the traceback of what the method raised, if that is how it failed.
    """

    method: str
    check: str
    state: State
    expected: str
    found: str
    trace: str = ""

    def line(self) -> str:
        """One line for people."""
        return f"{self.state:<7}  {self.check:<18}  expected {self.expected}; found: {self.found}"


def check_method(
    cls: type[HashMethod],
    name: str = "",
    preset: dict[str, Any] | None = None,
    *,
    checks: Iterable[Check] = CHECKS,
    report: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Run `checks` over a method class (with a variant's `preset` parameters), reporting each as it ends."""
    lab = Lab(cls, preset or {})
    known = dict(getattr(getattr(cls, "info", None), "known_failures", {}))
    title = name or str(getattr(getattr(cls, "info", None), "name", cls.__name__))
    results: list[Result] = []
    for check in checks:
        state, found, trace = _run(check, lab, {result.check: result.state for result in results})
        state, found = _judge(state, found, known.get(check.name))
        results.append(Result(title, check.name, state, check.expected, found, trace))
        report(results[-1])
    return results


def passed(results: Iterable[Result]) -> bool:
    """Whether a method conforms: something was checked, and everything passes or is a known failure."""
    states = [result.state for result in results]
    return bool(states) and all(state in ("pass", "known") for state in states)


def _run(check: Check, lab: Lab, before: dict[str, State]) -> tuple[State, str, str]:
    if check.needs and before.get(check.needs) in ("FAIL", "known", "blocked"):
        return "blocked", f"not run, because {check.needs!r} failed", ""
    try:
        finding = check.run(lab)
    except Broken as error:
        return "FAIL", str(error), trace_of(error.__cause__) if error.__cause__ else ""
    except Exception as error:  # noqa: BLE001 - a check never stops the others
        return "FAIL", one_line(error), trace_of(error)
    return *_something(finding), ""


def _something(finding: Finding) -> tuple[State, str]:
    if finding.compared < 1:
        return "FAIL", f"the check ran nothing ({finding.found})"
    return "pass", finding.found


def _judge(state: State, found: str, reason: str | None) -> tuple[State, str]:
    """Known failures: accepted with their reason while they fail, and a failure once they pass."""
    if reason is None or state == "blocked":
        return state, found
    if state == "pass":
        return "FAIL", f"it passes now ({found}), but is declared a known failure: {reason}"
    if not reason.strip():
        return "FAIL", f"{found}; declared a known failure without a reason"
    return "known", f"{found}; known failure: {reason}"
