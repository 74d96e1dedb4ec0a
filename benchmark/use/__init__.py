"""Finished fits in use: images to codes, nearest codes, a page to look at them, a Python API."""
