"""Containers: one Dockerfile, and a compose file that runs the whole line on one machine."""
