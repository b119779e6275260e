"""A task family in a package of its own: is a line of a diary glad or sad? Read from files with a mark before each line."""
