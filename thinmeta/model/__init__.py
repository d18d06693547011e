"""What a user thinks in: a pool, its devices, their runs; typed, without bytes."""
