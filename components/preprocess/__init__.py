"""The first stage: raw text, a task's official files or a user's own tables, to sharded TFRecords; here or on Apache Beam."""
