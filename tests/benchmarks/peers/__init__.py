"""The same work as other streaming libraries do it: each a small program, written as its own documentation would."""
