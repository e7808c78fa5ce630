"""Experiments: one file each, with the paper, the command and the expected result."""
