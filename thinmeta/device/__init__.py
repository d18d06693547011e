"""Bytes in: files and devices as 4 KiB blocks; knows nothing of formats."""
