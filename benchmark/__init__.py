"""The benchmark harness: protocols, metrics, sweeps, records and reports for image hashing."""

__version__ = "0.1.0"
