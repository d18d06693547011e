// Writes a bbolt file: `bbolt_file FILE PAGESIZE < OPERATIONS`, a JSON object a line.
//
//	{"path": [BUCKET, ...], "key": KEY, "value": VALUE}
//
// All are in base64. Without a key the bucket is made. On Debian 12, with
// golang-github-coreos-bbolt-dev: GOPATH=/usr/share/gocode GO111MODULE=off go build
package main

import (
	"encoding/json"
	"io"
	"os"
	"strconv"

	bolt "go.etcd.io/bbolt"
)

type operation struct {
	Path       [][]byte
	Key, Value []byte
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	pageSize, err := strconv.Atoi(os.Args[2])
	check(err)
	db, err := bolt.Open(os.Args[1], 0600, &bolt.Options{PageSize: pageSize})
	check(err)
	lines := json.NewDecoder(os.Stdin)
	check(db.Update(func(tx *bolt.Tx) error {
		for {
			var next operation
			err := lines.Decode(&next)
			if err == io.EOF {
				return nil
			}
			check(err)
			bucket, err := tx.CreateBucketIfNotExists(next.Path[0])
			check(err)
			for _, name := range next.Path[1:] {
				bucket, err = bucket.CreateBucketIfNotExists(name)
				check(err)
			}
			if next.Key != nil {
				check(bucket.Put(next.Key, next.Value))
			}
		}
	}))
	check(db.Close())
}
