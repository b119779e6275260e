"""What stages hand to each other: tf.Examples in TFRecord files."""
