"""What runs inside a worker process, whose environment the driver has set."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any

from benchmark.files.streams import guard
from benchmark.sweep.executors.base import Link, describe
from benchmark.sweep.executors.crew import Message


def main(connection: Connection) -> None:
    """Receive the function, then items, and answer each, until the driver hangs up."""
    guard()
    if hasattr(os, "setsid"):  # Ctrl-C on the terminal is the driver's to handle
        with contextlib.suppress(OSError):
            os.setsid()
    if hasattr(signal, "pthread_sigmask"):  # the driver blocked it while it started this process
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a scheduler signals every process; the driver decides
    todo: queue.Queue[bytes] = queue.Queue()
    stop = threading.Event()
    threading.Thread(target=_listen, args=(connection, todo, stop), daemon=True).start()
    sending = threading.Lock()

    def send(message: Message) -> None:
        # Plain pickle: multiprocessing's own would pass tensors as handles that die with this process.
        content = pickle.dumps(tuple(message), protocol=5)
        with sending:
            connection.send_bytes(content)

    function = _load(todo.get())
    spent = threading.Event()
    link = Link(lambda event: send(Message("event", event)), stop.is_set, spent.set)
    while True:
        item = todo.get()
        try:
            if isinstance(function, Exception):
                raise function
            value = function(pickle.loads(item), link)  # noqa: S301 - our own driver's bytes
            send(Message("value", value, spent=spent.is_set()))
        except (BrokenPipeError, ConnectionError):
            os._exit(1)
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - an item never raises out of the executor
            send(Message("error", *describe(error), spent=spent.is_set()))


def _load(content: bytes) -> Any:
    """The function, or the exception that importing it raised: that then is every item's outcome."""
    try:
        return pickle.loads(content)  # noqa: S301 - our own driver's bytes, over an inherited pipe
    except Exception as error:  # noqa: BLE001 - handed to the driver
        return error


def _listen(connection: Connection, todo: queue.Queue[bytes], stop: threading.Event) -> None:
    """Pass items on; a driver that is gone ends this process at once, in the middle of a fit too."""
    try:
        while True:
            content = connection.recv_bytes()
            if content == b"stop":
                stop.set()
            else:
                todo.put(content)
    except (EOFError, OSError):
        os._exit(1)
