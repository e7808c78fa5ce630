"""Trained networks that answer: what they are, and how they are asked."""
