"""The local Docker engine, each step a container in its image."""
