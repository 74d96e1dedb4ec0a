"""One job: set up, trained, encoded, scored, looked at again."""
