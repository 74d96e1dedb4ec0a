"""Addresses of MLflow trackers: how they are built, checked, shown, and what lies behind them."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

from benchmark.errors import InputError
from benchmark.files.write import remove_leftovers, scratch_of

#: Trackers that MLflow opens itself, and those that are servers.
DATABASES, SERVERS = ("sqlite", "postgresql", "mysql", "mssql"), ("http", "https")
#: Letters of a path that mean something else in a URI.
_SPECIAL = frozenset("?#%")
#: Seconds that a database server is given to take a connection, and MLflow's tries to open a database: the pauses
#: between six of them add up to 6 s (by default it takes ten, with 101 s of pauses, and does so twice).
_REACH, _TRIES = 10.0, 6
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_ARTIFACTS = "mlartifacts"


def default_uri(results: Path) -> str:
    """SQLite in a file inside the results folder."""
    return sqlite_uri((results / "mlflow.db").resolve())


def sqlite_uri(path: Path) -> str:
    """The URI of an SQLite file. Raises InputError for a path that no URI can name with this SQLAlchemy."""
    if not _SPECIAL & set(str(path)):
        return f"sqlite:///{path}"
    from sqlalchemy import URL, make_url

    uri = URL.create("sqlite", database=str(path)).render_as_string()
    if make_url(uri).database != str(path):
        raise InputError(
            f"{str(path)!r} cannot be the place of an SQLite tracker: SQLAlchemy before 2.1 takes no `?`, `#` or "
            "`%` in it; update sqlalchemy, use another --results, or --tracking-uri"
        )
    return uri


def check_uri(uri: str) -> str:
    """The URI itself. Raises InputError for one that MLflow cannot take."""
    kind = scheme(uri)
    if kind == "file" and not _folders_allowed():
        raise InputError(
            f"tracking URI {public(uri)!r}: this MLflow no longer writes into folders; use sqlite:///FILE, or set "
            "MLFLOW_ALLOW_FILE_STORE=true"
        )
    if ":" not in uri or kind not in (*DATABASES, *SERVERS, "file"):
        raise InputError(
            f"tracking URI {public(uri)!r} is not understood; allowed: sqlite:///FILE, postgresql://..., http(s)://HOST:PORT"
        )
    return uri


def _folders_allowed() -> bool:
    try:
        from mlflow.environment_variables import MLFLOW_ALLOW_FILE_STORE
    except ImportError:  # MLflow 2 takes them as they come
        return True
    return bool(MLFLOW_ALLOW_FILE_STORE.get())


def scheme(uri: str) -> str:
    """The part before the colon, without SQLAlchemy's driver: postgresql+psycopg2 is postgresql."""
    return uri.split(":", 1)[0].split("+")[0]


def public(uri: str) -> str:
    """The URI without user name and password, fit for printing."""
    prefix, separator, rest = uri.partition("://")
    return f"{prefix}{separator}{rest.rpartition('@')[2] if not prefix.startswith('sqlite') else rest}"


def database_file(uri: str) -> Path | None:
    """The file of an SQLite tracker; None for others and for databases in memory."""
    if not uri.startswith("sqlite:///") or (":memory:" in uri):
        return None
    from sqlalchemy import make_url

    url = make_url(uri)
    return Path(url.database) if url.database and not url.query else None


def reach(uri: str) -> None:
    """Raise OSError where a database server takes no connection, and bound MLflow's own tries to open a database.

    Left to itself MLflow tries for minutes while a fit's result waits; the store keeps results, so give up early.
    """
    if scheme(uri) not in DATABASES:
        return
    from mlflow.store.db import utils
    from sqlalchemy import make_url

    if hasattr(utils, "MAX_RETRY_COUNT"):
        utils.MAX_RETRY_COUNT = min(_TRIES, utils.MAX_RETRY_COUNT)
    url = make_url(uri)
    if url.host and not url.host.startswith("/"):
        socket.create_connection((url.host, url.port or _PORTS[scheme(uri)]), timeout=_REACH).close()


def make_database(uri: str) -> None:
    """Make the file of an SQLite tracker whole or not at all: MLflow refuses one that it was killed in making."""
    path = database_file(uri)
    if path is None or path.exists():
        return
    from mlflow import MlflowClient

    scratch = scratch_of(path)
    try:
        MlflowClient(sqlite_uri(scratch)).search_experiments(max_results=1)
        try:
            os.link(scratch, path)
        except FileExistsError:  # another driver was faster
            pass
        except OSError:  # a file system without links
            if not path.exists():
                scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    remove_leftovers(path)


@contextlib.contextmanager
def no_strays(uri: str) -> Iterator[None]:
    """Remove the empty folder that MLflow makes where it reads an escaped SQLite URI as if it were a path."""
    wrong = Path(uri.removeprefix("sqlite:///")).parent
    new = [folder for folder in (wrong, *wrong.parents) if "%" in str(folder) and not folder.exists()]
    try:
        yield
    finally:
        for folder in new:
            with contextlib.suppress(OSError):  # absent, or it holds something
                folder.rmdir()


def artifacts_of(results: Path) -> str:
    """Where the artifacts of a database tracker lie: a `file:` URI inside the results folder."""
    return (results / _ARTIFACTS).resolve().as_uri()


def mend_artifacts(uri: str, results: Path, experiment: str) -> bool:
    """Point a database's runs to the artifacts beside the records, after the results folder was moved or copied.

    MLflow stores absolute places. They are changed where this project made them (a folder `mlartifacts`) and the
    database lies in the results folder itself or the old place is gone. True when something was changed.
    """
    from sqlalchemy import create_engine, text

    new, file = artifacts_of(results), database_file(uri)
    if file is not None and not file.exists():
        return False
    inside = file is not None and file.resolve().parent == results.resolve()
    engine = create_engine(uri)
    try:
        with engine.begin() as database:
            query = text("SELECT artifact_location FROM experiments WHERE name = :name")
            old = database.execute(query, {"name": experiment}).scalar()
            if not isinstance(old, str) or old == new or not old.startswith("file:"):
                return False
            if not old.endswith(f"/{_ARTIFACTS}") or not (inside or not _path(old).exists()):
                return False
            change = text("UPDATE experiments SET artifact_location = :new WHERE name = :name")
            database.execute(change, {"new": new, "name": experiment})
            change = text(
                "UPDATE runs SET artifact_uri = REPLACE(artifact_uri, :old, :new) WHERE artifact_uri LIKE :runs"
            )
            database.execute(change, {"old": f"{old}/", "new": f"{new}/", "runs": f"{old}/%"})
            return True
    finally:
        engine.dispose()


def runs_page(uri: str, experiment: str) -> str:
    """The address of an experiment's runs in MLflow's interface, which itself opens on traces; empty if unknown."""
    from sqlalchemy import create_engine, text

    engine = create_engine(uri)
    try:
        with engine.connect() as database:
            query = text("SELECT experiment_id FROM experiments WHERE name = :name")
            number = database.execute(query, {"name": experiment}).scalar()
    finally:
        engine.dispose()
    return f"/#/experiments/{number}/runs?workflowType=machine_learning" if number is not None else ""


def _path(uri: str) -> Path:
    return Path(unquote(urlparse(uri).path))
