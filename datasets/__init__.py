"""Data sets, one file each; files that start with an underscore are shared pieces."""
