"""Files of a volume as a tar: one that keeps everything, and one as Docker writes it."""
