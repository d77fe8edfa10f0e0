"""The whole line on one machine: `make demo`."""
