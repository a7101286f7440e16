package stdio

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// Whatever arrives, and however it is cut up: no line is longer than allowed, what is
// read is what was sent, and the guard can answer what is no message.
func FuzzLines(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "\r\n\n", `{"jsonrpc":"2.0","id":1,"method":"ping"}` + "\n", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "a\nb\n", strings.Repeat("x", 200) + "\n",
		`{"jsonrpc":"2.0","id":"x","method":"m","method":"n"}` + "\n", "[]\n", "\xff\n", "{\n}\n", `{"id":1e400}` + "\n",
	} {
		f.Add([]byte(seed))
	}
	const most = 100
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLines(iotest.OneByteReader(bytes.NewReader(data)), most)
		rest := data
		for {
			line, err := l.next()
			if err != nil {
				if errors.Is(err, io.EOF) && len(bytes.TrimSpace(rest)) > 0 {
					t.Fatalf("%q was not read", rest)
				}
				if !errors.Is(err, io.EOF) && !errors.Is(err, ErrLine) {
					t.Fatal(err)
				}
				return
			}
			if len(line) > most {
				t.Fatalf("%d bytes", len(line))
			}
			at := bytes.Index(rest, line)
			if at < 0 || len(bytes.TrimSpace(rest[:at])) > 0 {
				t.Fatalf("%q is not the next line of %q", line, rest)
			}
			rest = rest[at+len(line)+1:]
			msg, err := readMessage(line)
			if err != nil {
				if req := malformed(line); req.Method != "malformed" || len(req.Params) == 0 {
					t.Fatalf("%+v", req)
				}
				continue
			}
			if _, err := jsonrpc.EncodeMessage(msg); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestALineOfExactlyTheLimit(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 100, lineBuffer - 1, lineBuffer, lineBuffer + 1, 3 * lineBuffer} {
		text := strings.Repeat("x", most)
		l := newLines(strings.NewReader(text+"\n"+text+"x\n"), most)
		if line, err := l.next(); err != nil || string(line) != text {
			t.Errorf("%d: %d bytes, %v", most, len(line), err)
		}
		if line, err := l.next(); !errors.Is(err, ErrLine) {
			t.Errorf("%d and one: %d bytes, %v", most, len(line), err)
		}
	}
}
