"""A user's own tables: which files they are, how their records are read, how splits are cut; for every family that reads such."""
