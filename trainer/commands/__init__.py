"""The commands of `python -m trainer`, a file each.

A command is a module with ABOUT (its line in the help), `add(parser)` (its arguments) and `run(arguments)`.
"""
