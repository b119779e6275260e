"""`bigbird run`: a plan of what the user gave, its folder and record, the run, and the table that closes it."""
