"""ext2, ext3 and ext4, read without the kernel."""
