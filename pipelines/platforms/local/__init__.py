"""This machine, each step a process of this Python environment."""
