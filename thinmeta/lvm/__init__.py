"""Where LVM keeps a pool and its data: labels, texts, segments, places on disks."""
