"""A sweep: planned, run by an executor, looked up, verified."""
