"""One metadata block: what is in it, who refers to it, and what else of it is on disk."""
