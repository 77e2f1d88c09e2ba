"""Training data from files that others made, row by row, with a reason for every row that cannot be used."""
