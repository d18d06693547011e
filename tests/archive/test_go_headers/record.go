// Writes headers with Go's archive/tar, as Docker does: members in from stdin, blocks out, both JSON.
// headers.json was made with Go 1.19.8: go run record.go <members.json
package main

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"time"
)

type M struct {
	Name, Type, Link, Uname, Gname            []byte
	Mode, Uid, Gid, Size, Mtime, Major, Minor int64
	Xattrs                                    map[string][]byte
}

func main() {
	var ms []M
	if err := json.NewDecoder(os.Stdin).Decode(&ms); err != nil {
		panic(err)
	}
	var out []string
	for _, m := range ms {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		h := &tar.Header{Typeflag: m.Type[0], Name: string(m.Name), Linkname: string(m.Link), Size: m.Size, Mode: m.Mode, Uid: int(m.Uid), Gid: int(m.Gid), Uname: string(m.Uname), Gname: string(m.Gname), ModTime: time.Unix(m.Mtime, 0), Devmajor: m.Major, Devminor: m.Minor, Format: tar.FormatPAX}
		if len(m.Xattrs) > 0 {
			h.Xattrs = map[string]string{}
			for k, v := range m.Xattrs {
				h.Xattrs[k] = string(v)
			}
		}
		if err := w.WriteHeader(h); err != nil {
			out = append(out, "error: "+err.Error())
			continue
		}
		out = append(out, base64.StdEncoding.EncodeToString(b.Bytes()))
	}
	json.NewEncoder(os.Stdout).Encode(out)
}
