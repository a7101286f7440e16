package clients

import (
	"bytes"
	"io"

	"golang.org/x/net/http2/hpack"
)

// hpacked encodes a header, name after value.
func hpacked(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}) // a buffer takes all
	}
	return b.Bytes()
}

// copyBounded copies what a normal answer can be.
func copyBounded(w io.Writer, r io.Reader) (int64, error) {
	return io.Copy(w, io.LimitReader(r, 1<<20))
}
