"""The commands of `python -m detector`: each a module with ABOUT, DETAIL, SETTINGS and run(settings)."""
