"""The project's experiment in a tracker: opened, made where there is none, mended where it was moved or deleted."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from benchmark.store import mlflow_address

log = logging.getLogger(__name__)

EXPERIMENT = "coophash-benchmark"
#: What the experiment is, for interfaces that ask; MLflow's own (3.17) goes by the address that `ui` prints.
_KIND = ("mlflow.experimentKind", "custom_model_development")


def open_experiment(uri: str, root: Path) -> tuple[Any, str]:
    """MLflow's client of a tracker and the experiment's id there. Raises what MLflow and its database raise."""
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # after the import, which sets the level itself
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow_address.reach(uri)
    with mlflow_address.no_strays(uri):
        mlflow_address.make_database(uri)
        client = MlflowClient(uri)
        found = client.get_experiment_by_name(EXPERIMENT)
    # A server and a folder know where artifacts go; a database would put them under the working folder.
    database = mlflow_address.scheme(uri) in mlflow_address.DATABASES
    if found is None:
        location = mlflow_address.artifacts_of(root) if database else None
        return client, client.create_experiment(EXPERIMENT, location, dict([_KIND]))
    experiment = found.experiment_id
    if found.lifecycle_stage == "deleted":
        log.warning("MLflow's experiment %s had been deleted; it is restored, with its runs", EXPERIMENT)
        client.restore_experiment(experiment)
    if _KIND[0] not in found.tags:  # made by an earlier version; a user's own choice stays
        client.set_experiment_tag(experiment, *_KIND)
    if database and mlflow_address.mend_artifacts(uri, root, EXPERIMENT):
        log.info("the results folder was moved: MLflow's runs now point to the artifacts in it")
    return client, experiment
