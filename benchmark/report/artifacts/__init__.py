"""One file per artifact of the report; each declares `ARTIFACT`."""
