"""How the reference reads this project's docstrings.

A class gets one table of its attributes instead of a heading for each: name, type, and what is said of it. That is
`name: text` in the class's docstring (at the start of a line or a sentence), a pydantic `Field`'s description,
default and bounds, or a comment on the attribute's line. Arguments that a function's docstring describes in the
same way become a list. A constant has the `#:` comment above it. Source is read; no module is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import griffe

_BOUNDS = {"ge": "≥", "gt": "&gt;", "le": "≤", "lt": "&lt;"}
_LENGTHS = {"min_length": "at least {} long", "max_length": "at most {} long", "pattern": "matches `{}`"}
_CODE = re.compile(r"(`+[^`]+`+)")
_SHORT = 60  # a default longer than this is not repeated in a table


class Docstrings(griffe.Extension):
    """Called by the reference's generator for every class, function and constant that it has read."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Docstrings are text, not HTML: keep `<a, b>` in sight."""
        if obj.docstring is not None:
            parts = _CODE.split(obj.docstring.value)
            parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
            obj.docstring.value = "".join(parts)

    def on_class_members(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Move the attributes of a class into one table below its docstring."""
        for name in [name for name, one in cls.members.items() if _unsaid(one)]:
            del cls.members[name]
        attributes = {
            name: one
            for name, one in cls.members.items()
            if isinstance(one, griffe.Attribute) and "property" not in one.labels and not name.startswith("_")
        }
        value = "" if cls.docstring is None else cls.docstring.value
        rest, found = split(value, attributes)
        texts = {name: text for names, text in found for name in names}
        rows = [_row(name, one, texts.get(name, "")) for name, one in attributes.items()]
        rows = [row for row in rows if row.annotation is not None or row.name in texts]
        if not rows:
            return
        cls.docstring = cls.docstring or griffe.Docstring(value, parent=cls)
        table = [griffe.DocstringSectionText(rest), griffe.DocstringSectionAttributes(rows)]
        cls.docstring.__dict__["parsed"] = table  # where the parsed text is kept
        for row in rows:
            del cls.members[row.name]

    def on_function_instance(self, *, func: griffe.Function, **kwargs: Any) -> None:
        """Turn the descriptions of arguments into a list."""
        if func.docstring is not None:
            rest, found = split(func.docstring.value, [one.name for one in func.parameters])
            items = [f"- {', '.join(f'`{name}`' for name in names)}: {text}" for names, text in found]
            func.docstring.value = "\n\n".join([one for one in (rest, "\n".join(items)) if one])

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Take the `#:` comment above a constant as its docstring."""
        if attr.docstring is None and attr.parent is not None and attr.parent.is_module:
            text = _comment_above(attr)
            attr.docstring = griffe.Docstring(text, parent=attr) if text else None


def split(text: str, names: Iterable[str]) -> tuple[str, list[tuple[list[str], str]]]:
    """Take `name: text` and `one, two: text` out of a docstring -> (what remains, the pairs in order)."""
    known = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    if not known:
        return text, []
    name = f"`?(?:{known})`?"
    start = re.compile(rf"(?:^|(?<=[.;:)] )|(?<=\n))({name}(?:, {name})*):\s+")
    kept: list[str] = []
    found: list[tuple[list[str], str]] = []
    for paragraph in text.split("\n\n"):
        before, *pieces = start.split(paragraph)
        if before.strip():
            kept.append(before.rstrip())
        for heads, piece in zip(pieces[::2], pieces[1::2], strict=True):
            found.append((heads.replace("`", "").split(", "), " ".join(piece.split()).rstrip(";")))
    return "\n\n".join(kept), found


def _unsaid(member: griffe.Object | griffe.Alias) -> bool:
    """Whether this is an attribute that `__init__` assigns and nothing says a word of, or pydantic's own."""
    if not isinstance(member, griffe.Attribute) or member.docstring is not None:
        return False
    assigned = member.labels == {"instance-attribute"} and member.annotation is None
    return assigned or member.name == "model_config"


def _row(name: str, attribute: griffe.Attribute, text: str) -> griffe.DocstringAttribute:
    """A line of the table: what the docstring or a comment says, then default and bounds."""
    value, field = attribute.value, {}
    if isinstance(value, griffe.ExprCall) and str(value.function) in ("Field", "field"):
        field = {one.name: one.value for one in value.arguments if isinstance(one, griffe.ExprKeyword)}
        made = f"{field['default_factory']}()" if "default_factory" in field else None
        value = field.get("default", made)
    said = [
        text,
        str(field["description"]).strip("\"'") if "description" in field else "",
        _comment_on(attribute),
    ]
    default = "" if value is None else str(value)
    limits = list(_limits({key: str(one) for key, one in field.items()}))
    facts = [f"default `{default}`"] if default and len(default) <= _SHORT else []
    words = [". ".join(one.rstrip(".") for one in said if one), ", ".join([*facts, *limits])]
    description = "; ".join(one for one in words if one)
    return griffe.DocstringAttribute(name, annotation=attribute.annotation, description=description)


def _limits(field: dict[str, str]) -> Iterator[str]:
    for key, sign in _BOUNDS.items():
        if key in field:
            yield f"{sign} {field[key]}"
    for key, text in _LENGTHS.items():
        if key in field:
            yield text.format(field[key])


def _comment_on(attribute: griffe.Attribute) -> str:
    """The comment behind an attribute that takes one line; what tools read there says nothing to people."""
    line = attribute.source if attribute.lineno == attribute.endlineno else ""
    comment = line.partition("  # ")[2].strip()
    return "" if comment.startswith(("noqa", "type:", "pragma")) else comment


def _comment_above(attribute: griffe.Attribute) -> str:
    path = attribute.filepath
    if isinstance(path, list) or attribute.lineno is None:
        return ""
    found: list[str] = []
    for line in reversed(attribute.lines_collection[path][: attribute.lineno - 1]):
        if not line.startswith("#:"):
            break
        found.insert(0, line.removeprefix("#:").strip())
    return " ".join(found)
