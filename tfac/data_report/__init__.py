"""What a prepared data set holds and what is wrong with it, before a model learns it."""
