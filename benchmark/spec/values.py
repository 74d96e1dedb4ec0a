"""Frozen, validated values, their canonical JSON and digests, and the seed streams."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import InputError, unknown

#: Names of methods, data sets and protocols: lower-case letters, digits and hyphens, at most 64.
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}$"

#: A value of JSON that holds no others.
Scalar = bool | int | float | str | None
#: A text of `NAME_PATTERN`.
Name = Annotated[str, Field(pattern=NAME_PATTERN)]

#: A pydantic model.
M = TypeVar("M", bound=BaseModel)


class Value(BaseModel):
    """Base of the frozen value objects: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def flag(default: Any, metavar: str, text: str, **limits: Any) -> Any:
    """A field that `run` has an option for, under its name.

    Parameters
    ----------
    default : value
        What the field is when neither a suite nor an option sets it.
    metavar : str
        What help shows for the option's value; empty for what is on or off, and for a choice of words, which
        name themselves.
    text : str
        The option's help.
    **limits
        As `pydantic.Field` takes them, such as `ge`.

    Returns
    -------
    FieldInfo
        The field.
    """
    return Field(default=default, description=text, json_schema_extra={"metavar": metavar}, **limits)


def parse(model: type[M], values: Mapping[str, Any], what: str) -> M:
    """Validate values as a model, with pydantic's findings in one line.

    Parameters
    ----------
    model : type
        A pydantic model.
    values : mapping
        Field names to values.
    what : str
        What messages call the values.

    Returns
    -------
    model
        The validated value.

    Raises
    ------
    InputError
        Names `what`, the field and what is wrong; unknown keys come with the nearest valid one.
    """
    allowed = [field.alias or name for name, field in model.model_fields.items()]
    for key in values:
        if key not in allowed:
            raise unknown(f"{what} key", str(key), allowed)
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise InputError(f"{what}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """The first finding of a validation error as one readable line.

    Parameters
    ----------
    error : ValidationError
        What pydantic raised.

    Returns
    -------
    str
        Field, message and the value that was given.
    """
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "value"
    message = re.sub(r"^Value error, ", "", first["msg"])
    given = first.get("input")
    shown = "" if isinstance(given, Mapping) else f" (given: {str(given)[:80]!r})"
    return f"{where}: {message}{shown}"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces, no NaN: equal values give equal text.

    Parameters
    ----------
    value : JSON value
        Anything that `json` takes.

    Returns
    -------
    str
        ASCII text.

    Raises
    ------
    ValueError
        NaN or an infinite number.

    Examples
    --------
    >>> canonical_json({'b': 1, 'a': [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any, length: int = 16) -> str:
    """The first hexadecimal digits of SHA-256 over the canonical JSON of a value.

    Parameters
    ----------
    value : JSON value
        As `canonical_json` takes it.
    length : int
        Digits, 1 to 64.

    Returns
    -------
    str
        Lower-case digits.
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def seed_stream(*parts: Scalar) -> int:
    """A seed that depends on the named parts alone.

    Streams are named, not counted: adding one draw never shifts another, and a draw whose parts leave the
    method out is the same for every method.

    Parameters
    ----------
    *parts : str, int, float, bool or None
        The stream's name and what it is for.

    Returns
    -------
    int
        63 bits, the same on every machine.
    """
    return int(digest(["seed", *parts], 16), 16) >> 1
