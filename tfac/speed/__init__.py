"""The same arithmetic, faster: operations that take the place of Keras's own."""
