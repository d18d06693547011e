"""Files of a volume as files of the host."""
