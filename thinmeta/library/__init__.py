"""What a program asks of a pool: one object that opens, names and answers."""
