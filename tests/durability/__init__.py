"""Kills, damage, full disks and second starts: what must hold, tried many times. `python -m tests.durability --help`."""
