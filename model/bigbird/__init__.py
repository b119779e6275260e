"""BigBird for TensorFlow / Keras 3: the model, its tasks and its data, shared by every stage of the pipeline."""
