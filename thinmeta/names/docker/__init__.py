"""What Docker's devicemapper driver keeps under its root (moby 24 and older).

Source: `daemon/graphdriver/devmapper/deviceset.go`, `layer/filestore.go`,
`image/fs.go`, `reference/store.go` and `container/container.go` (moby 23.0).
"""
