"""A results folder: records, views, index, locks, and what MLflow is told."""
