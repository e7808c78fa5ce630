"""The embedded data set: drawn faces."""
