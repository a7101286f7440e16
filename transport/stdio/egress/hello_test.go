package egress

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// clientHello returns what a client sends first.
func clientHello(tb testing.TB, serverName string) []byte {
	tb.Helper()
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		c := tls.Client(a, &tls.Config{ServerName: serverName, InsecureSkipVerify: true})
		c.Handshake()
		a.Close()
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(b, head); err != nil {
		tb.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(b, body); err != nil {
		tb.Fatal(err)
	}
	return slices.Concat(head, body)
}

// fragment cuts the message of a record into records of at most n bytes.
func fragment(record []byte, n int) []byte {
	var all []byte
	for part := range slices.Chunk(record[5:], n) {
		all = append(binary.BigEndian.AppendUint16(append(all, record[:3]...), uint16(len(part))), part...)
	}
	return all
}

// extend adds an extension to a ClientHello, with all lengths made right.
func extend(hello, extension []byte) []byte {
	h := append(bytes.Clone(hello), extension...)
	binary.BigEndian.PutUint16(h[3:], uint16(len(h)-5))
	h[6], h[7], h[8] = byte((len(h)-9)>>16), byte((len(h)-9)>>8), byte(len(h)-9)
	p := 9 + 2 + 32
	p += 1 + int(h[p])                                    // session
	p += 2 + int(binary.BigEndian.Uint16(h[p:]))          // suites
	p += 1 + int(h[p])                                    // compression
	binary.BigEndian.PutUint16(h[p:], uint16(len(h)-p-2)) // extensions
	return h
}

func serverNameExtension(names ...string) []byte {
	var list []byte
	for _, name := range names {
		list = append(binary.BigEndian.AppendUint16(append(list, 0), uint16(len(name))), name...)
	}
	e := []byte{0, 0}
	e = binary.BigEndian.AppendUint16(e, uint16(len(list)+2))
	e = binary.BigEndian.AppendUint16(e, uint16(len(list)))
	return append(e, list...)
}

func TestReadHello(t *testing.T) {
	t.Parallel()
	hello, nameless := clientHello(t, "allowed.test"), clientHello(t, "")
	for name, c := range map[string]struct {
		bytes []byte
		want  string
		fails bool
	}{
		"whole":                        {hello, "allowed.test", false},
		"in records of 1 byte":         {fragment(hello, 1), "allowed.test", false},
		"in records of 7 bytes":        {fragment(hello, 7), "allowed.test", false},
		"with bytes after it":          {append(bytes.Clone(hello), "more"...), "allowed.test", false},
		"without a name":               {nameless, "", false},
		"name added":                   {extend(nameless, serverNameExtension("other.test")), "other.test", false},
		"two names in one extension":   {extend(nameless, serverNameExtension("allowed.test", "other.test")), "", true},
		"two extensions with a name":   {extend(hello, serverNameExtension("other.test")), "", true},
		"empty name":                   {extend(nameless, serverNameExtension("")), "", true},
		"name with a final dot":        {extend(nameless, serverNameExtension("allowed.test.")), "", true},
		"lengths that do not fit":      {extend(nameless, serverNameExtension("allowed.test")[:12]), "", true},
		"cut short":                    {hello[:100], "", true},
		"record too long":              {[]byte{22, 3, 1, 0xff, 0xff, 1}, "", true},
		"empty records":                {bytes.Repeat([]byte{22, 3, 1, 0, 0}, 10000), "", true},
		"an alert first":               {append([]byte{21, 3, 1, 0, 2, 1, 0}, hello...), "", true},
		"another handshake message":    {[]byte{22, 3, 1, 0, 4, 2, 0, 0, 0}, "", true},
		"a message of 16 MiB":          {append([]byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, make([]byte, 1<<14-4)...), "", true},
		"SSL 2":                        {[]byte{0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10}, "", true},
		"plain text that begins alike": {[]byte("\x16hello, world"), "", true},
	} {
		got, seen, err := readHello(bytes.NewReader(c.bytes))
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %q %v", name, got, err)
		}
		if !bytes.HasPrefix(c.bytes, seen) || err == nil && len(seen) == 0 {
			t.Errorf("%s: what was read is not what was sent", name)
		}
	}
	endless := &counter{}
	if _, _, err := readHello(io.MultiReader(bytes.NewReader([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff}), endless)); err == nil || endless.n > maxHello {
		t.Errorf("read %d bytes: %v", endless.n, err)
	}
}

type counter struct{ n int }

func (c *counter) Read(b []byte) (int, error) {
	c.n += len(b)
	return len(b), nil
}

// probe 69: the name in the handshake must be the one that was asked for.
func TestServerNameMustMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ ask, name, reason string }{
		{"allowed.test", "allowed.test", ""},
		{"allowed.test", "ALLOWED.test", ""},
		{"a.wild.test", "a.wild.test", ""},
		{"b.a.wild.test", "b.a.wild.test", ""},
		{"bücher.test", "xn--bcher-kva.test", ""},
		{"allowed.test", "denied.test", codeName.Name},
		{"allowed.test", "other.test", codeName.Name},
		{"allowed.test", "x.allowed.test", codeName.Name},
		{"a.wild.test", "b.a.wild.test", codeName.Name}, // both are listed
		{"allowed.test", "", codeName.Name},
	} {
		for _, way := range []string{"connect", "socks", "transparent"} {
			w := serve(t)
			to, err := parseHost(c.ask)
			if err != nil {
				t.Fatal(err)
			}
			var conn net.Conn
			switch way {
			case "connect":
				conn = w.proxy(t)
				io.WriteString(conn, "CONNECT "+to.name+":443 HTTP/1.1\r\nHost: x\r\n\r\n")
				line := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
				io.ReadFull(conn, line)
			case "socks":
				conn, _ = socks(t, w, 1, 3, append([]byte{byte(len(to.name))}, to.name...), 443)
			default:
				conn = w.transparent(t, to.name, 443)
			}
			got, err := w.get(conn, c.name)
			if ok := err == nil && strings.Contains(got, "200 OK"); ok != (c.reason == "") {
				t.Errorf("%s: %s by %s: %q %v", c.ask, c.name, way, got, err)
			}
			events := w.ended()
			if len(events) != 1 || events[0].Reason != c.reason || events[0].Allowed != (c.reason == "") || events[0].Name != to.name {
				t.Errorf("%s: %s by %s: %+v", c.ask, c.name, way, events)
			}
			if d := w.world.dialled(); way == "transparent" && c.reason != "" && len(d) > 0 {
				t.Errorf("%s: %s: dialled %v", c.ask, c.name, d)
			}
			if events[0].Allowed && (events[0].BytesOut < 200 || events[0].BytesIn < 200) {
				t.Errorf("bytes: %+v", events[0])
			}
		}
	}
}

// probe 69: a handshake in pieces is read as a whole.
func TestFragmentedHello(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"allowed.test": true, "denied.test": false} {
		w := serve(t)
		c := w.transparent(t, "allowed.test", 443)
		for _, b := range fragment(clientHello(t, name), 3) {
			if _, err := c.Write([]byte{b}); err != nil {
				break
			}
		}
		first := make([]byte, 1)
		_, err := io.ReadFull(c, first)
		if (err == nil && first[0] == 22) != want { // the server's answer
			t.Errorf("%s: %v %v", name, first, err)
		}
	}
}

// Whatever is neither TLS nor HTTP is refused where no rule says tcp.
func TestOtherProtocols(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		port   uint16
		text   string
		reason string
	}{
		{"allowed.test", 443, "SSH-2.0-x\r\n", codeProtocol.Name},
		{"allowed.test", 443, "GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n", codeProtocol.Name},
		{"plain.test", 80, "\x00\x01\x02", codeProtocol.Name},
		{"plain.test", 80, "\x16\x03\x01\x00\x05hello", codeProtocol.Name},
		{"plain.test", 80, "SSH-2.0-x\r\n", codeMalformed.Name},
		{"plain.test", 80, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", codeProtocol.Name},
	} {
		w := serve(t)
		conn := w.transparent(t, c.name, c.port)
		io.WriteString(conn, c.text)
		if all, _ := io.ReadAll(conn); strings.Contains(string(all), "200 OK") {
			t.Errorf("%q on port %d: %q", c.text, c.port, all)
		}
		w.Close()
		if r := w.world.refusals(); !slices.Equal(r, []string{c.reason}) {
			t.Errorf("%q on port %d: %v", c.text, c.port, r)
		}
		if d := w.world.dialled(); len(d) > 0 {
			t.Errorf("%q on port %d: dialled %v", c.text, c.port, d)
		}
	}
}

func FuzzReadHello(f *testing.F) {
	f.Add(clientHello(f, "allowed.test"))
	f.Add(fragment(clientHello(f, "allowed.test"), 50))
	f.Add([]byte{22, 3, 1, 0, 4, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		name, seen, err := readHello(bytes.NewReader(b))
		if !bytes.HasPrefix(b, seen) {
			t.Error("what was read is not what was sent")
		}
		if err != nil && name != "" {
			t.Errorf("a name %q with an error", name)
		}
		if name != "" && !bytes.Contains(bytes.ToLower(b), bytes.ToLower([]byte(name[:1]))) {
			t.Errorf("%q was not sent", name)
		}
	})
}
