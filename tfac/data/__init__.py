"""Data: builders that write TFRecords, the readers of other people's layouts, and tf.data input."""
