"""Scoring codes that somebody brings: reading their files, public conventions, and uncertainty."""
