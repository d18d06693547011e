"""Metadata in: from XML, or from what was salvaged, to metadata blocks that the kernel takes."""
