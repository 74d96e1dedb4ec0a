"""Apply a function to items and yield what came of each: here, in processes, or on a Ray cluster."""

from benchmark.executors.base import LATER, Executor, Later, Link, Outcome, Watch
from benchmark.executors.processes import LocalProcesses
from benchmark.executors.ray_cluster import RayCluster
from benchmark.executors.serial import Serial

__all__ = [
    "LATER",
    "Executor",
    "Later",
    "Link",
    "LocalProcesses",
    "Outcome",
    "RayCluster",
    "Serial",
    "Watch",
]
