"""The registration stage: an exported model as a version in the Vertex AI Model Registry, the default if it is better."""
