"""The page of a run, and the pictures of graphs."""
