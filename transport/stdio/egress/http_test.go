package egress

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Every request of a connection is looked at, and what is sent on has one meaning.
func TestHostOfEveryRequest(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"GET / HTTP/1.1\r\nHost: plain.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: plain.test:80\r\n\r\n": {"200", "200"},
		"GET / HTTP/1.1\r\nHost: plain.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: denied.test\r\n\r\n":   {"200", "403"},
		"GET / HTTP/1.1\r\nHost: PLAIN.test.\r\n\r\n":                                              {"200"},
		"GET / HTTP/1.0\r\nHost: plain.test\r\n\r\n":                                               {"200"},
		"GET http://plain.test/ HTTP/1.1\r\nHost: denied.test\r\n\r\n":                             {"200"}, // the target counts (RFC 9112 section 3.2.2)
		"GET http://denied.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n":                             {"403"},
		"GET https://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n":                             {"403"},
		"GET http://u@plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n":                            {"403"},
		"GET / HTTP/1.1\r\nHost: denied.test\r\n\r\n":                                              {"403"},
		"GET / HTTP/1.1\r\nHost: plain.test:8080\r\n\r\n":                                          {"403"},
		"GET / HTTP/1.1\r\nHost: 93.184.216.36\r\n\r\n":                                            {"403"},
		"GET / HTTP/1.1\r\nHost:\r\n\r\n":                                                          {"403"},
		"GET / HTTP/1.0\r\n\r\n":                                                                   {"403"},
		"GET / HTTP/1.1\r\n\r\n":                                                                   {"400"},
		"GET / HTTP/1.1\r\nHost: plain.test\r\nHost: denied.test\r\n\r\n":                          {"400"},
		"GET / HTTP/1.1\r\nHost: plain.test\r\nHost : denied.test\r\n\r\n":                         {"400"},
		"GET / HTTP/1.1\r\nHost: plain.test, denied.test\r\n\r\n":                                  {"400"},
		"CONNECT plain.test:80 HTTP/1.1\r\nHost: plain.test\r\n\r\n":                               {"403"},
		"OPTIONS * HTTP/1.1\r\nHost: plain.test\r\n\r\n":                                           {"200"},
		// A body that ends where another reader thinks it goes on, or the other way round.
		"POST / HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: denied.test\r\n\r\n": {"200", "403"},
		"POST / HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: denied.test\r\n\r\n":                                        {"200", "403"},
		"POST / HTTP/1.1\r\nHost: plain.test\r\nTransfer-Encoding: xchunked\r\n\r\nGET / HTTP/1.1\r\nHost: denied.test\r\n\r\n":                              {"501"},
		"POST / HTTP/1.1\r\nHost: plain.test\r\nTransfer-Encoding: chunked\r\n\r\n1;x=\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: denied.test\r\n\r\n":         {"200", "403"},
		"GET / HTTP/1.1\r\nHost: plain.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n":              {"200"},
	} {
		w := serve(t)
		c := w.transparent(t, "plain.test", 80)
		io.WriteString(c, text)
		var got []string
		r := bufio.NewReader(c)
		for range want {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Errorf("%q: %v", text, err)
				break
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			got = append(got, res.Status[:3])
			if res.StatusCode == http.StatusOK && text[0] != 'O' && !strings.Contains(string(body), "host=plain.test ") {
				t.Errorf("%q: the host saw %q", text, body)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		refused := 0
		for _, status := range want {
			if status != "200" {
				refused++
			}
		}
		w.Close()
		if n := len(w.world.refusals()); n != refused {
			t.Errorf("%q: %d refusals are recorded, want %d", text, n, refused)
		}
		if n := len(w.world.dialled()); n != len(want)-refused {
			t.Errorf("%q: %d requests were sent on", text, n)
		}
	}
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	w := serve(t)
	c := w.transparent(t, "plain.test", 80)
	io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: plain.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", res, err)
	}
	io.WriteString(c, "ping")
	echo := make([]byte, 4)
	if _, err := io.ReadFull(r, echo); err != nil || string(echo) != "ping" {
		t.Errorf("%q %v", echo, err)
	}
}

// A body is passed on as it comes, and one that waits to be asked for is asked for.
func TestBodies(t *testing.T) {
	t.Parallel()
	w := serve(t)
	c := w.proxy(t)
	io.WriteString(c, "POST http://plain.test:8080/up HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	r := bufio.NewReader(c)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q %v", line, err)
	}
	r.ReadString('\n')
	io.WriteString(c, "hello")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	contains(t, string(body), "host=plain.test:8080 path=/up query= body=hello")
}

// A rule with the word tcp lets anything through, unread.
func TestRawRule(t *testing.T) {
	t.Parallel()
	w := serve(t)
	w.world.names["raw.test"] = []string{"93.184.216.60"}
	c := w.transparent(t, "raw.test", 25)
	io.WriteString(c, "GET / HTTP/1.0\r\nHost: anything\r\n\r\n")
	all, _ := io.ReadAll(c)
	contains(t, string(all), "host=anything")
}
