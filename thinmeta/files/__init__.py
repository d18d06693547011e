"""What is inside a volume: file systems, read without the kernel."""
