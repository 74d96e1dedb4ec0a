"""The run of a sweep in a tracker, which its fits' runs are children of: made, ended, opened again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmark.store.locks import running
from benchmark.store.store import Store

Connect = Callable[[], tuple[Any, str]]


class SweepRuns:
    """The sweeps' runs in one tracker. connect: gives its client and the experiment's id. key: the tracker's, in
    the notes `.<sweep>.<key>.open` (its run was left open here) and `.closed` (it is finished in the tracker).
    """

    def __init__(self, store: Store, key: str, connect: Connect) -> None:
        self._store, self._key, self._connect = store, key, connect
        self._notes = (store.root / "sweeps").absolute()  # a method may change the working folder meanwhile
        self._known: dict[str, str] = {}

    def forget(self) -> None:
        """Ask the tracker again."""
        self._known = {}

    def of(self, sweep: str) -> str:
        """The id of a sweep's run, made or opened again where it is not open; two drivers agree on one."""
        note = self._note(sweep, "open")
        if sweep not in self._known or not note.exists():
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()  # before the run is made: one that a kill leaves open is found by it
            self._known[sweep] = self._found_or_made(sweep)
        note.touch()  # its last sign of life
        return self._known[sweep]

    def is_closed(self, sweep: str) -> bool:
        """Whether the store's note says that a sweep's run is finished in this tracker."""
        return self._note(sweep, "closed").exists()

    def close(self, sweep: str) -> None:
        """Mark a sweep's run as finished."""
        client, run_id = self._connect()[0], self.of(sweep)
        if not client.list_artifacts(run_id):  # whoever made it died before they were sent
            self._send(client, run_id, sweep)
        client.set_terminated(run_id, "FINISHED")
        self._store.write_text(f"sweeps/{self._note(sweep, 'closed').name}", "")
        self._note(sweep, "open").unlink(missing_ok=True)

    def left_open(self) -> list[str]:
        """The sweeps whose runs drivers of this folder opened and did not end."""
        return sorted(note.name.split(".")[1] for note in self._notes.glob(f".*.{self._key}.open"))

    def settle(self, sweeps: Iterable[str]) -> None:
        """End the runs of sweeps: finished where each planned fit has a record, else killed, at their last sign of
        life; a sweep of which somebody runs a fit is left alone.
        """
        done, busy = self._store.ids(), running(self._store.root)
        for sweep in sweeps:
            planned, note = self._planned(sweep), self._note(sweep, "open")
            if planned <= done:
                self.close(sweep)
            elif not planned & busy.keys():
                when = int(1000 * note.stat().st_mtime) if note.exists() else None
                for run in self._runs(sweep):
                    if run.info.status == "RUNNING":
                        self._connect()[0].set_terminated(run.info.run_id, "KILLED", when)
                self._known.pop(sweep, None)
                note.unlink(missing_ok=True)

    def _planned(self, sweep: str) -> set[str]:
        try:
            return {str(row["fit_id"]) for row in json.loads((self._notes / f"{sweep}.json").read_text())}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return set()

    def _note(self, sweep: str, ending: str) -> Path:
        return self._notes / f".{sweep}.{self._key}.{ending}"

    def _found_or_made(self, sweep: str) -> str:
        client, experiment = self._connect()
        found = self._runs(sweep)
        if not found:
            tags = {"sweep": sweep, "kind": "sweep"}
            made = client.create_run(experiment, run_name=f"sweep {sweep[:8]}", tags=tags)
            found = self._runs(sweep)
            if found[0].info.run_id == made.info.run_id:
                self._send(client, made.info.run_id, sweep)
            else:
                client.delete_run(made.info.run_id)
        if found[0].info.status != "RUNNING":
            client.update_run(found[0].info.run_id, "RUNNING")
        return str(found[0].info.run_id)

    def _runs(self, sweep: str) -> list[Any]:
        client, experiment = self._connect()
        found = client.search_runs([experiment], f"tags.sweep = '{sweep}' and tags.kind = 'sweep'")
        return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def _send(self, client: Any, run_id: str, sweep: str) -> None:
        for path in sorted(self._store.root.glob(f"sweeps/{sweep}.*")):
            client.log_artifact(run_id, str(path))
