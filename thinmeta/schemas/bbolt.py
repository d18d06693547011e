"""Pages of a bbolt file, in which containerd keeps its metadata.

On-disk truth: page.go, db.go and bucket.go (go.etcd.io/bbolt v1.3.6). Field names are bbolt's.
Numbers are as the host's processor has them: little-endian.
"""

from construct import Int16ul, Int32ul, Int64ul, Struct

MAGIC = 0xED0CDAED
VERSION = 2
BRANCH_PAGE = 0x01
LEAF_PAGE = 0x02
META_PAGE = 0x04
FREELIST_PAGE = 0x10
BUCKET_LEAF = 0x01
"""Set in a leaf element whose value is a bucket."""

PAGE_SIZES = tuple(1024 << shift for shift in range(7))
"""From 1 to 64 KiB: that of the host, which is 4 KiB nearly everywhere."""

FNV_OFFSET_BASIS = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3

PageHeader = "page" / Struct(
    "id" / Int64ul * "which page this is",
    "flags" / Int16ul * "branch 1, leaf 2, meta 4, freelist 16",
    "count" / Int16ul * "elements that follow",
    "overflow" / Int32ul * "pages that follow, which belong to this one",
)

BucketHeader = "bucket" / Struct(
    "root" / Int64ul * "page of the root; 0: a page follows, as small as what is in it",
    "sequence" / Int64ul * "the last number that it gave",
)

Meta = "meta" / Struct(
    "magic" / Int32ul * "0xED0CDAED",
    "version" / Int32ul * "2",
    "pageSize" / Int32ul * "in bytes",
    "flags" / Int32ul * "0",
    "root" / BucketHeader * "of the bucket that holds all",
    "freelist" / Int64ul * "page of the list of free pages",
    "pgid" / Int64ul * "pages in use are before it",
    "txid" / Int64ul * "of the two metas the one with the higher counts",
    "checksum" / Int64ul * "64-bit FNV-1a of what is before it",
)

BranchElement = "branchPageElement" / Struct(
    "pos" / Int32ul * "where the key begins, from here on, in bytes",
    "ksize" / Int32ul * "bytes of the key, the first in the page below",
    "pgid" / Int64ul * "page below",
)

LeafElement = "leafPageElement" / Struct(
    "flags" / Int32ul * "1: the value is a bucket",
    "pos" / Int32ul * "where the key begins, from here on, in bytes; the value follows it",
    "ksize" / Int32ul * "bytes of the key",
    "vsize" / Int32ul * "bytes of the value",
)
