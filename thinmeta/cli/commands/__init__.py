"""One command a file, glue only: what is asked comes from the library, its text from `formats`."""
