"""Data: the sources that are read, the records that are written of them, and tf.data input."""
