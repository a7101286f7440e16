package egress

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// probes 62, 63, 64 and 67: what CONNECT is not for.
func TestConnectIsRefused(t *testing.T) {
	t.Parallel()
	w := serve(t)
	for target, want := range map[string]string{
		"denied.test:443":                  "403",
		"allowed.test:22":                  "403",
		"8.8.8.8:53":                       "403", // probe 62
		"93.184.216.34:443":                "403", // the address of an allowed name is not the name
		"169.254.169.254:80":               "403", // probe 63
		"[fd00:ec2::254]:80":               "403",
		"100.100.100.200:80":               "403",
		"metadata.google.internal:80":      "403",
		"127.0.0.1:22":                     "403", // probe 64
		"[::1]:22":                         "403",
		"localhost:22":                     "403",
		"[::ffff:127.0.0.1]:22":            "403",
		"0.0.0.0:22":                       "403",
		"198.18.0.1:443":                   "403", // made up, and stands for nothing
		"0x7f000001:80":                    "400", // forms that only some take for addresses
		"2130706433:80":                    "400",
		"0177.0.0.1:80":                    "400",
		"127.1:80":                         "400",
		"[fe80::1%25lo]:443":               "400",
		"[fe80::1%lo]:443":                 "400",
		"allowed.test":                     "400",
		"allowed.test:":                    "400",
		"allowed.test:0":                   "400",
		"allowed.test:65979":               "400", // 443 + 65536
		"allowed.test:0443":                "400",
		"allowed.test:443:443":             "400",
		"user@allowed.test:443":            "400",
		"allowed.test:443@denied.test:443": "400",
		"denied.test#@allowed.test:443":    "400",
		"allowed.test:443/path":            "400",
		"http://allowed.test:443":          "400",
		"allowed.test%00.denied.test:443":  "400",
		"allowed.test\x00.denied.test:443": "400",
		"allowed.test\t:443":               "400",
		"allowed.test,denied.test:443":     "400",
		"*.wild.test:443":                  "400",
		"wild.test:443":                    "403",
		"/allowed.test:443":                "400",
	} {
		got := w.exchange(t, "CONNECT "+target+" HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("%q: %.120q, want %s", target, got, want)
		}
		if want == "403" && !strings.Contains(got, "do not retry") {
			t.Errorf("%q: %q does not say what to do", target, got)
		}
	}
	w.Close()
	if d := w.world.dialled(); len(d) > 0 {
		t.Errorf("packets were sent to %v", d)
	}
	for _, e := range w.ended() {
		if e.Allowed || e.Reason == "" || strings.Contains(e.Name, "@") || strings.Contains(e.Detail, "user@") {
			t.Errorf("event %+v", e)
		}
	}
	if n := len(w.world.refusals()); n < 38 {
		t.Errorf("%d refusals are recorded", n)
	}
}

// Requests that are no HTTP that everybody reads alike are refused and recorded.
func TestMalformedRequestsToTheProxy(t *testing.T) {
	t.Parallel()
	for request, reason := range map[string]string{
		"CONNECT allowed.test:443 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":                                                      codeMalformed.Name,
		"CONNECT allowed.test:443 HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n":                                                        codeMalformed.Name,
		"CONNECT allowed.test:443\r\n\r\n":                                                                                     codeMalformed.Name,
		"CONNECT  allowed.test:443 HTTP/1.1\r\nHost: a\r\n\r\n":                                                                codeMalformed.Name,
		"GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx":               codeMalformed.Name,
		"GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n":                      codeMalformed.Name,
		"GET http://user:pw@plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n":                                                  codeMalformed.Name,
		"GET http://plain.test:80@denied.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n":                                           codeMalformed.Name,
		"GET http://denied.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n":                                                         codeNotListed.Name,
		"GET http://169.254.169.254/latest/meta-data HTTP/1.1\r\nHost: plain.test\r\n\r\n":                                     codeNotListed.Name,
		"GET http://[::ffff:169.254.169.254]/ HTTP/1.1\r\nHost: plain.test\r\n\r\n":                                            codeNotListed.Name,
		"GET http://allowed.test:443/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n":                                                  codeProtocol.Name,
		"GET https://allowed.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n":                                                     codeProtocol.Name,
		"GET ftp://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n":                                                           codeProtocol.Name,
		"GET / HTTP/1.1\r\nHost: plain.test\r\n\r\n":                                                                           codeProtocol.Name,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                                                                     codeProtocol.Name,
		"GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nX: " + strings.Repeat("x", maxRequestHeader+8192) + "\r\n\r\n": codeMalformed.Name,
		"\x04\x01\x00\x50\x08\x08\x08\x08\x00":                                                                                 codeProtocol.Name, // SOCKS4
		"\x16\x03\x01":                                                                                                         codeProtocol.Name,
	} {
		w := serve(t)
		got := w.exchange(t, request)
		if strings.HasPrefix(got, "HTTP/1.1 2") {
			t.Errorf("%.80q: %q", request, got)
		}
		w.Close()
		if r := w.world.refusals(); !slices.Equal(r, []string{reason}) {
			t.Errorf("%.80q: refusals %v, want %s", request, r, reason)
		}
		if d := w.world.dialled(); len(d) > 0 {
			t.Errorf("%.80q: packets were sent to %v", request, d)
		}
	}
}

// probe 68: an allowed name that leads to where nobody may go.
func TestNameThatLeadsInside(t *testing.T) {
	t.Parallel()
	for answer, good := range map[string]string{
		"169.254.169.254":        "",
		"127.0.0.1":              "",
		"10.0.0.5":               "",
		"192.168.1.1 10.0.0.1":   "",
		"::1":                    "",
		"fd00:ec2::254":          "",
		"fe80::1":                "",
		"::ffff:169.254.169.254": "",
		"64:ff9b::a9fe:a9fe":     "",
		"2002:a9fe:a9fe::1":      "",
		"2001:0:a9fe:a9fe::1":    "",
		"100.64.0.1":             "",
		"198.18.0.1":             "",
		"0.0.0.0":                "",
		"93.184.216.99":          "", // the host's own
		"169.254.169.254 93.184.216.34 127.0.0.1": "93.184.216.34:443",
		"93.184.216.34 169.254.169.254":           "93.184.216.34:443",
	} {
		w := serve(t)
		w.own = func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("93.184.216.99")}, nil }
		w.world.names["rebind.test"] = []string{answer, "169.254.169.254"} // a second question would get another answer
		c := w.proxy(t)
		io.WriteString(c, "CONNECT rebind.test:443 HTTP/1.1\r\nHost: rebind.test:443\r\n\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		if want := map[bool]string{true: "HTTP/1.1 403", false: "HTTP/1.1 200"}[good == ""]; !strings.HasPrefix(line, want) {
			t.Errorf("%s: %q, want %s", answer, line, want)
		}
		c.Close()
		w.Close()
		if d := w.world.dialled(); strings.Join(d, " ") != good {
			t.Errorf("%s: packets were sent to %v, want %q", answer, d, good)
		}
		if len(w.world.asked) != 1 {
			t.Errorf("%s: asked %v", answer, w.world.asked)
		}
	}
}

// The same by the way of programs that know of no proxy, and for plain HTTP.
func TestNameThatLeadsInsideTransparently(t *testing.T) {
	t.Parallel()
	w := serve(t)
	w.world.names["rebind.test"] = []string{"169.254.169.254"}
	if _, err := w.get(w.transparent(t, "rebind.test", 443), "rebind.test"); err == nil {
		t.Error("a handshake with the metadata service")
	}
	c := w.transparent(t, "rebind.test", 80)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: rebind.test\r\n\r\n")
	all, _ := io.ReadAll(c)
	contains(t, string(all), "403 Forbidden")
	contains(t, string(all), codeAddress.Name)
	if d := w.world.dialled(); len(d) > 0 {
		t.Errorf("packets were sent to %v", d)
	}
}

// A name that comes to lead inside between two connections is caught at the second.
func TestNameThatLeadsInsideLater(t *testing.T) {
	t.Parallel()
	w := serve(t)
	w.world.names["twice.test"] = []string{"93.184.216.34", "169.254.169.254"}
	const request = "GET http://twice.test/ HTTP/1.1\r\nHost: twice.test\r\n\r\n"
	c := w.proxy(t)
	r := bufio.NewReader(c)
	for i, want := range []int{200, 403} {
		io.WriteString(c, request)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("request %d: %s", i, res.Status)
		}
	}
}

func TestPermittedConnections(t *testing.T) {
	t.Parallel()
	w := serve(t)
	w.world.names["inside.test"], w.world.names["self.test"] = []string{"10.1.2.3"}, []string{"127.0.0.1"}
	for target, want := range map[string]string{
		"inside.test:80": "10.1.2.3:80", "self.test:80": "127.0.0.1:80", "10.0.0.5:80": "10.0.0.5:80", "ALLOWED.Test.:80": "93.184.216.34:80",
	} {
		before := len(w.world.dialled())
		got := w.exchange(t, "GET http://"+target+"/p?a=1;b=%2f HTTP/1.1\r\nHost: x.denied.test\r\nProxy-Authorization: Basic c2VjcmV0\r\nConnection: close\r\n\r\n")
		contains(t, got, "200 OK")
		contains(t, got, "path=/p query=a=1;b=%2f")
		contains(t, got, `proxy-auth=""`)
		contains(t, got, "host="+strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(target, ":80"), ".")))
		if d := w.world.dialled()[before:]; !slices.Equal(d, []string{want}) {
			t.Errorf("%s: dialled %v", target, d)
		}
	}
}

// The words private and host permit one thing each.
func TestWordsOfARule(t *testing.T) {
	t.Parallel()
	w := serve(t)
	w.world.names["inside.test"], w.world.names["self.test"] = []string{"127.0.0.1"}, []string{"10.1.2.3"}
	for _, name := range []string{"inside.test", "self.test"} {
		contains(t, w.exchange(t, "GET http://"+name+"/ HTTP/1.1\r\nHost: x\r\n\r\n"), "403")
	}
}

func TestFailuresAreNotRefusals(t *testing.T) {
	t.Parallel()
	w := serve(t)
	w.world.names["down.test"] = []string{"93.184.216.50 93.184.216.51"}
	contains(t, w.exchange(t, "CONNECT down.test:1 HTTP/1.1\r\nHost: x\r\n\r\n"), "502 Bad Gateway")
	contains(t, w.exchange(t, "CONNECT nowhere.test:443 HTTP/1.1\r\nHost: x\r\n\r\n"), "502 Bad Gateway")
	if d := w.world.dialled(); len(d) != 2 {
		t.Errorf("dialled %v, want both addresses", d)
	}
	for _, e := range w.ended() {
		if !e.Allowed || e.Reason != codeUnreachable.Name {
			t.Errorf("%+v", e)
		}
	}
}

// probe 70: who relays for another one inside gets the same decision.
func TestRelayInside(t *testing.T) {
	t.Parallel()
	w := serve(t)
	relay, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := relay.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		up, err := net.Dial("tcp", w.addr)
		if err != nil {
			return
		}
		defer up.Close()
		go func() { io.Copy(up, c); up.(*net.TCPConn).CloseWrite() }()
		io.Copy(c, up)
	}()
	c, err := net.Dial("tcp", relay.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "CONNECT denied.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n")
	all, _ := io.ReadAll(c)
	contains(t, string(all), "403 Forbidden")
	c.Close()
	relay.Close()
	<-done
}

// A permitted tunnel is not a way to another proxy.
func TestConnectInsideATunnel(t *testing.T) {
	t.Parallel()
	w := serve(t)
	c := w.proxy(t)
	io.WriteString(c, "CONNECT plain.test:8080 HTTP/1.1\r\nHost: x\r\n\r\nCONNECT denied.test:443 HTTP/1.1\r\nHost: plain.test:8080\r\n\r\n")
	all, _ := io.ReadAll(c)
	contains(t, string(all), "200 Connection established")
	contains(t, string(all), "403 Forbidden")
	contains(t, string(all), codeProtocol.Name)
}

// socks sends a greeting and a request and returns the reply code, or -1.
func socks(t *testing.T, w *way, command, kind byte, address []byte, port uint16) (net.Conn, int) {
	t.Helper()
	c := w.proxy(t)
	c.Write([]byte{5, 2, 2, 0})
	var method [2]byte
	if _, err := io.ReadFull(c, method[:]); err != nil || method != [2]byte{5, 0} {
		t.Fatalf("greeting: %v %v", method, err)
	}
	c.Write(binary.BigEndian.AppendUint16(append([]byte{5, command, 0, kind}, address...), port))
	var reply [10]byte
	if _, err := io.ReadFull(c, reply[:]); err != nil {
		return c, -1
	}
	return c, int(reply[1])
}

// probe 71: of SOCKS5, CONNECT to a listed name.
func TestSOCKS(t *testing.T) {
	t.Parallel()
	w := serve(t)
	domain := func(name string) []byte { return append([]byte{byte(len(name))}, name...) }
	made := w.names.address("allowed.test").As4()
	v6 := netip.MustParseAddr("::ffff:169.254.169.254").As16()
	for i, c := range []struct {
		command, kind byte
		address       []byte
		port          uint16
		want          int
	}{
		{1, 3, domain("allowed.test"), 443, 0},
		{1, 3, domain("ALLOWED.test."), 443, 0},
		{1, 1, made[:], 443, 0},
		{1, 1, []byte{93, 184, 216, 40}, 443, 0}, // listed as it is
		{1, 3, domain("93.184.216.40"), 443, 0},
		{1, 3, domain("denied.test"), 443, socksNotAllowed},
		{1, 3, domain("allowed.test"), 22, socksNotAllowed},
		{1, 3, domain("allowed.test"), 0, socksFailure},
		{1, 3, domain("allowed.test\x00.denied"), 443, socksFailure},
		{1, 3, domain("allowed.test:443"), 443, socksFailure},
		{1, 3, domain("169.254.169.254"), 80, socksNotAllowed},
		{1, 3, domain("0x7f.1"), 80, socksFailure},
		{1, 3, domain(""), 443, socksFailure},
		{1, 1, []byte{8, 8, 8, 8}, 53, socksNotAllowed},
		{1, 1, []byte{169, 254, 169, 254}, 80, socksNotAllowed},
		{1, 4, v6[:], 80, socksNotAllowed},
		{1, 4, make([]byte, 16), 80, socksNotAllowed},
		{1, 2, nil, 443, socksNoAddress},
		{2, 3, domain("allowed.test"), 443, socksNoCommand}, // BIND
		{3, 3, domain("allowed.test"), 443, socksNoCommand}, // UDP ASSOCIATE
		{0, 3, domain("allowed.test"), 443, socksNoCommand},
		{1, 3, domain("nowhere.test"), 443, socksNoHost},
	} {
		conn, got := socks(t, w, c.command, c.kind, c.address, c.port)
		if got != c.want {
			t.Errorf("%d: %d %d %q port %d: reply %d, want %d", i, c.command, c.kind, c.address, c.port, got, c.want)
		}
		conn.Close()
	}
	conn, reply := socks(t, w, 1, 3, domain("a.wild.test"), 443)
	if reply != 0 {
		t.Fatal("refused")
	}
	if got, err := w.get(conn, "a.wild.test"); err != nil || !strings.Contains(got, "host=a.wild.test") {
		t.Errorf("%q %v", got, err)
	}
	c := w.proxy(t)
	c.Write([]byte{5, 1, 2}) // with a password only
	if all, _ := io.ReadAll(c); string(all) != "\x05\xff" {
		t.Errorf("%q", all)
	}
}

// probe 74: ten thousand connections at one time meet the limit, and the host lives on.
func TestConnectionFlood(t *testing.T) {
	t.Parallel()
	w := serve(t, func(c *Config) { c.Limits.Parallel = 20 })
	var held []net.Conn
	for range 20 { // they fill the limit
		c := w.proxy(t)
		io.WriteString(c, "CONNECT allowed.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("%q %v", line, err)
		}
		held = append(held, c)
	}
	const floods, each = 50, 200
	type result struct {
		refused int
		conns   []net.Conn
	}
	results := make(chan result, floods)
	for range floods {
		go func() {
			var r result
			for range each { // all are held, so that in the end ten thousand are open
				c, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", w.addr)
				if err != nil {
					continue
				}
				r.conns = append(r.conns, c)
				if first, _ := io.ReadAll(c); len(first) == 0 || strings.HasPrefix(string(first), "HTTP/1.1 503") {
					r.refused++
				}
			}
			results <- r
		}()
	}
	total := 0
	for range floods {
		r := <-results
		total += r.refused
		for _, c := range r.conns {
			t.Cleanup(func() { c.Close() })
		}
	}
	if total != floods*each {
		t.Errorf("%d of %d were refused", total, floods*each)
	}
	extra := int64(0)
	// One that is open still works, and when it is closed there is room for another.
	if got, err := w.get(held[0], "allowed.test"); err != nil || !strings.Contains(got, "200 OK") {
		t.Errorf("%q %v", got, err)
	}
	held[0].Close()
	for again := true; again; {
		again = strings.Contains(w.exchange(t, "CONNECT denied.test:443 HTTP/1.1\r\nHost: x\r\n\r\n"), "503")
		extra += map[bool]int64{true: 1}[again]
	}
	counted := int64(0)
	for _, e := range w.ended() {
		if !e.Allowed {
			counted += 1 + e.Suppressed
		}
	}
	if want := floods*each + extra + 1; counted != want { // one more for denied.test
		t.Errorf("%d refusals are counted, want %d", counted, want)
	}
}
