"""Training: Algorithm 1 of DMM-CNN as a custom loop, and what it is made of."""
