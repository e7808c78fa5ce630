"""Sources as records: checking, annotating and writing, on many workers."""
