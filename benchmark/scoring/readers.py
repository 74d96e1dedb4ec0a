"""Reading arrays from other people's files without running or trusting anything in them.

Nothing here unpickles: `.npy` and `.npz` are read by their headers, `.mat` by scipy and h5py, `.pt`
with torch's weights-only loader. What a header claims is checked against a limit before memory is
taken, and only the arrays that are needed are read.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, unknown
from benchmark.files.arrays import LIMIT, check_size, short
from benchmark.scoring.arrays import open_npy, open_npz
from benchmark.scoring.keys import ROLES, SIDES, assign, role_of, role_of_file, side_of_file
from benchmark.scoring.matlab import open_hdf5, open_mat
from benchmark.scoring.member import Member
from benchmark.scoring.tables import open_json, open_jsonl, open_table

Arrays = dict[str, Any]


def _open_pt(path: Path, limit: int, stack: ExitStack) -> list[Member]:
    from benchmark.scoring.tensors import open_pt

    return open_pt(path, limit)


_OPENERS: dict[str, Callable[[Path, int, ExitStack], list[Member]]] = {
    ".npz": open_npz,
    ".npy": lambda path, limit, stack: open_npy(path, limit),
    ".mat": open_mat,
    ".pt": _open_pt,
    ".pth": _open_pt,
    **dict.fromkeys((".h5", ".hdf5"), open_hdf5),
    **dict.fromkeys((".csv", ".tsv"), lambda path, limit, stack: open_table(path, limit)),
    **dict.fromkeys((".jsonl", ".ndjson"), lambda path, limit, stack: open_jsonl(path, limit)),
    ".json": lambda path, limit, stack: open_json(path, limit),
}
SUFFIXES = tuple(_OPENERS)


def missing_roles(found: Arrays) -> list[str]:
    """What scoring needs and `found` lacks, in words."""
    needed = []
    for side in ("query", "database"):
        if not {f"{side}_codes", f"{side}_outputs"} & set(found):
            needed.append(f"{side}_codes (or {side}_outputs)")
        if f"{side}_labels" not in found:
            needed.append(f"{side}_labels")
    return needed


def load_arrays(names: tuple[str, ...], limit: int = LIMIT, named: Mapping[str, str] | None = None) -> Arrays:
    """role -> array from one file or from several, of any kind in `SUFFIXES`.

    The role of a file that is one array is read from its name (`x_test_labels.npy`) or stated
    (`query_labels=x.npy`); a file of one set may state the set (`query=x.pth`). named: role -> the key that holds
    it. Raises InputError, in one line, for a file that is missing, broken, unsafe or incomplete.
    """
    parts = [_stated(name) for name in names]
    for _, path in parts:
        if not path.is_file():
            raise InputError(f"no such file: {path}")
        if path.suffix.lower() not in _OPENERS:
            raise InputError(f"{path.name}: unknown kind of file; allowed: {', '.join(SUFFIXES)}")
    found: Arrays = {}
    origins: dict[str, str] = {}
    keys: list[str] = []
    for stated, path in parts:
        content, held = _read_file(path, stated, limit, named or {})
        for role in content:
            if role in found and not (role == "bits" and np.array_equal(found[role], content[role])):
                raise InputError(
                    f"{role} is given twice, by {origins[role]} and {path.name}; give one of them"
                )
            origins[role] = path.name
        found |= content
        keys += held
    for role, key in (named or {}).items():
        if role not in found:
            raise unknown(f"key for --{role.replace('_', '-')}", key, keys)
    if "neighbour_rows" in keys:
        raise InputError(
            f"{parts[0][1].name}: codes of a fit whose relevance are true neighbours, which no convention by label "
            "scores; `show` has its scores"
        )
    missing = missing_roles(found)
    if missing:
        where = parts[0][1].name if len(parts) == 1 else "the files given"
        held_keys = ", ".join(keys[:20]) or "nothing"
        verb = "it holds" if len(parts) == 1 else "they hold"
        flag = "--" + missing[0].split()[0].replace("_", "-")
        if "query_ap" in keys:
            text = "`compact` left them out; run the fit again for whole codes"
            raise InputError(f"{where} lack{'s' * (len(parts) == 1)} {' and '.join(missing)}: {text}")
        raise InputError(
            f"{where} lack{'s' * (len(parts) == 1)} {' and '.join(missing)}; {verb}: {held_keys}"
            f" (a key of another name: {flag} KEY; a file of one set or array: query=FILE, query_labels=FILE)"
        )
    return found


def _stated(name: str) -> tuple[str | None, Path]:
    role, equals, rest = name.partition("=")
    if equals and not Path(name).exists():
        if role not in (*ROLES, *SIDES):
            raise InputError(f"unknown role {role!r} in {name!r}; known: {', '.join((*SIDES, *ROLES))}")
        return role, Path(rest)
    return None, Path(name)


def _read_file(
    path: Path, stated: str | None, limit: int, named: Mapping[str, str]
) -> tuple[Arrays, list[str]]:
    """role -> array of one file, and the names of all that it holds."""
    try:
        with ExitStack() as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            members = _OPENERS[path.suffix.lower()](path, limit, stack)
            roles = _roles(members, path, stated, named)
            check_size(sum(member.size for member in roles.values()), path.name, limit)
            for member in roles.values():
                if member.refused:
                    raise InputError(f"{path.name}: {member.key!r} {member.refused}")
            content = {role: member.read(role.partition("_")[2] or role) for role, member in roles.items()}
            return content, [member.key or next(iter(roles)) for member in members]
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file breaks its reader in ways that nobody lists
        raise InputError(
            f"{path.name} cannot be read (truncated or not what it says): {short(error)}"
        ) from None


def _roles(
    members: list[Member], path: Path, stated: str | None, named: Mapping[str, str]
) -> dict[str, Member]:
    if stated in ROLES:
        if len(members) != 1:
            keys = ", ".join(member.key for member in members[:20])
            raise InputError(f"{path.name} holds several arrays, not {stated} alone: {keys}")
        return {stated: members[0]}
    if len(members) == 1 and (not members[0].key or role_of(members[0].key) is None):
        role = role_of_file(path.stem) if stated is None else None
        if role is not None:
            return {role: members[0]}
        if not members[0].key:
            raise InputError(
                f"{path.name}: its name states no role; write ROLE=FILE, ROLE one of {', '.join(ROLES)}"
            )
    sides = {(member.role or role_of(member.key) or "").partition("_")[0] for member in members}
    if stated is None and not sides & set(SIDES):
        stated = side_of_file(path.stem)  # no key says which set it is of
    return assign(members, path.name, named, stated)
