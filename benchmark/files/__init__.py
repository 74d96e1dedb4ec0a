"""Files and arrays on disk: written whole, found by place, read with guards."""
