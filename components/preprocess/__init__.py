"""The first stage: raw GLUE TSV or SQuAD JSON to sharded TFRecords, with Apache Beam."""
