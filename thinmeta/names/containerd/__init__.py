"""containerd's names, as its devmapper snapshotter keeps them: three bbolt files."""
