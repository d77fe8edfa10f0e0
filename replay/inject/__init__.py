"""History broken on purpose, each break named by a text of `--inject`, so that it is seen what the detector answers."""
