"""Hashing methods, one file (or package) each; files that start with an underscore are shared pieces."""
