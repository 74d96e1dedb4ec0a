"""Apply a function to items and yield what came of each: here, in processes, or on a Ray cluster."""

from benchmark.sweep.executors.base import LATER, Executor, Later, Link, Outcome, Watch
from benchmark.sweep.executors.processes import LocalProcesses
from benchmark.sweep.executors.ray_cluster import RayCluster
from benchmark.sweep.executors.serial import Serial

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
