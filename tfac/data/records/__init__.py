"""Prepared data sets: what they hold, and tf.data input from them."""
