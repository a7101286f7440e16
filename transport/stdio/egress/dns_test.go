package egress

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func question(name string, kind dnsmessage.Type) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// summary returns the code of a reply and its addresses.
func summary(t *testing.T, reply []byte) string {
	t.Helper()
	if reply == nil {
		return "none"
	}
	var m dnsmessage.Message
	if err := m.Unpack(reply); err != nil {
		t.Fatal(err)
	}
	if m.ID != 7 || !m.Response || len(m.Questions) != 1 || len(m.Additionals)+len(m.Authorities) > 0 {
		t.Errorf("%+v", m)
	}
	var text strings.Builder
	text.WriteString(strings.TrimPrefix(m.RCode.String(), "RCode"))
	for _, a := range m.Answers {
		body, ok := a.Body.(*dnsmessage.AResource)
		if !ok || !madeUp.Contains(netip.AddrFrom4(body.A)) {
			t.Errorf("answer %+v", a)
		}
		text.WriteString(" A")
	}
	return text.String()
}

// probe 66: what is answered and what is not; nothing is ever asked outside.
func TestQuestions(t *testing.T) {
	t.Parallel()
	w := serve(t)
	for _, c := range []struct {
		name string
		kind dnsmessage.Type
		want string
	}{
		{"allowed.test.", dnsmessage.TypeA, "Success A"},
		{"ALLOWED.Test.", dnsmessage.TypeA, "Success A"},
		{"plain.test.", dnsmessage.TypeA, "Success A"}, // listed on other ports
		{"x.y.wild.test.", dnsmessage.TypeA, "Success A"},
		{"allowed.test.", dnsmessage.TypeAAAA, "Success"},
		{"allowed.test.", typeHTTPS, "Success"},
		{"allowed.test.", dnsmessage.TypeTXT, "Refused"},
		{"allowed.test.", dnsmessage.TypeALL, "Refused"},
		{"allowed.test.", dnsmessage.TypeAXFR, "Refused"},
		{"allowed.test.", dnsmessage.TypeMX, "Refused"},
		{"allowed.test.", dnsmessage.TypeNS, "Refused"},
		{"allowed.test.", 10, "Refused"}, // NULL
		{"denied.test.", dnsmessage.TypeA, "NameError"},
		{"denied.test.", dnsmessage.TypeAAAA, "NameError"},
		{"c2VjcmV0.denied.test.", dnsmessage.TypeTXT, "Refused"},
		{"wild.test.", dnsmessage.TypeA, "NameError"},
		{"allowed.test.evil.", dnsmessage.TypeA, "NameError"},
		{"xallowed.test.", dnsmessage.TypeA, "NameError"},
		{"10.0.0.5.", dnsmessage.TypeA, "NameError"},
		{"metadata.google.internal.", dnsmessage.TypeA, "NameError"},
		{"a b.wild.test.", dnsmessage.TypeA, "NameError"},
		{"1.0.18.198.in-addr.arpa.", dnsmessage.TypePTR, "NameError"},
		{".", dnsmessage.TypeA, "NameError"},
		{".", dnsmessage.TypeNS, "Refused"},
	} {
		if got := summary(t, w.answer(question(c.name, c.kind))); got != c.want {
			t.Errorf("%s %v: %s, want %s", c.name, c.kind, got, c.want)
		}
	}
	other := question("allowed.test.", dnsmessage.TypeA)
	other[len(other)-1] = 3 // CHAOS
	if got := summary(t, w.answer(other)); got != "NotImplemented" {
		t.Errorf("class CHAOS: %s", got)
	}
	update := question("allowed.test.", dnsmessage.TypeSOA)
	update[2] |= 5 << 3
	if got := summary(t, w.answer(update)); got != "NotImplemented" {
		t.Errorf("an update: %s", got)
	}
	if len(w.world.asked) > 0 {
		t.Errorf("names were asked for outside: %v", w.world.asked)
	}
	a, _ := netip.AddrFromSlice(w.answer(question("allowed.test.", dnsmessage.TypeA))[42:])
	b, _ := netip.AddrFromSlice(w.answer(question("Allowed.test.", dnsmessage.TypeA))[42:])
	if a != b || !a.IsValid() {
		t.Errorf("one name has two addresses: %v %v", a, b)
	}
}

// probe 66: junk is not answered.
func TestJunkQuestions(t *testing.T) {
	t.Parallel()
	w := serve(t)
	two := dnsmessage.Message{Questions: make([]dnsmessage.Question, 2)}
	for i := range two.Questions {
		two.Questions[i] = dnsmessage.Question{Name: dnsmessage.MustNewName("allowed.test."), Type: 1, Class: 1}
	}
	twice, err := two.Pack()
	if err != nil {
		t.Fatal(err)
	}
	response := question("allowed.test.", dnsmessage.TypeA)
	response[2] |= 0x80
	loop := slices.Concat(question("a.", 1)[:12], []byte{0xc0, 12, 0, 1, 0, 1})
	for name, query := range map[string][]byte{
		"nothing":             nil,
		"one byte":            {1},
		"no question":         make([]byte, 12),
		"two questions":       twice,
		"a response":          response,
		"a name in a circle":  loop,
		"cut short":           question("allowed.test.", 1)[:20],
		"64 KiB of labels":    append(question("allowed.test.", 1)[:12], []byte(strings.Repeat("\x3f"+strings.Repeat("a", 63), 1024))...),
		"a long honest start": append(question("allowed.test.", 1), make([]byte, maxQuery)...),
	} {
		if reply := w.answer(query); reply != nil {
			t.Errorf("%s: %q", name, reply)
		}
	}
}

func TestQuestionsOverSockets(t *testing.T) {
	t.Parallel()
	w := serve(t)
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Serve(Sockets{DNS: pc}); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp4", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	c.Write(make([]byte, 60000)) // junk, of which nothing may come back
	c.Write(question("allowed.test.", dnsmessage.TypeA))
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := summary(t, b[:n]); got != "Success A" {
		t.Error(got)
	}
	// Over TCP, to whatever address a program thinks the name server has.
	for _, server := range []string{"127.0.0.53:53", "8.8.8.8:53"} {
		s, err := w.Connect(t.Context(), netip.MustParseAddrPort(server))
		if err != nil {
			t.Fatal(err)
		}
		s.SetDeadline(time.Now().Add(patience))
		for range 2 {
			q := question("allowed.test.", dnsmessage.TypeA)
			s.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...))
			if _, err := io.ReadFull(s, b[:2]); err != nil {
				t.Fatal(err)
			}
			n := binary.BigEndian.Uint16(b)
			io.ReadFull(s, b[:n])
			if got := summary(t, b[:n]); got != "Success A" {
				t.Error(got)
			}
		}
		s.Write([]byte{0xff, 0xff})
		if rest, _ := io.ReadAll(s); len(rest) > 0 {
			t.Errorf("%q", rest)
		}
		s.Close()
	}
}

func TestQuestionRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var events []Event
		p, _ := Parse("allowed.test")
		s, err := NewServer(Config{Policy: p, Limits: Limits{Queries: 5}, OnEvent: func(e Event) { events = append(events, e) }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ask := func() string { return summary(t, s.answer(question("allowed.test.", dnsmessage.TypeA))) }
		for i := range 50 {
			if got := ask(); got != "Success A" {
				t.Fatalf("question %d: %s", i, got)
			}
		}
		if got := ask(); got != "Refused" {
			t.Errorf("one too many: %s", got)
		}
		if len(events) != 1 || events[0].Reason != codeQueries.Name || events[0].Via != ViaDNS {
			t.Errorf("%+v", events)
		}
		time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		if got := ask(); got != "Success A" {
			t.Errorf("a second later: %s", got)
		}
	})
}

// The table is bounded, and an address that is given anew was not used for long.
func TestMadeUpAddresses(t *testing.T) {
	t.Parallel()
	names := newTable()
	first := names.address("first.test")
	seen := map[netip.Addr]bool{first: true}
	for i := range 1<<17 - 3 {
		a := names.address(fmt.Sprint(i))
		if seen[a] || !madeUp.Contains(a) || a == netip.MustParseAddr("198.18.0.0") || a == netip.MustParseAddr("198.19.255.255") {
			t.Fatalf("%d: %v", i, a)
		}
		seen[a] = true
	}
	if len(names.byName) != maxNames || len(names.byAddr) != maxNames || names.recent.Len() != maxNames {
		t.Errorf("%d names", len(names.byName))
	}
	if _, ok := names.name(first); ok {
		t.Error("the oldest name is still there")
	}
	if a := names.address("again.test"); a != first {
		t.Errorf("after all others comes %v", a)
	}
	kept := names.address("again.test")
	for i := range 2 * maxNames {
		names.address(fmt.Sprint("x", i))
		names.name(kept)
	}
	if name, ok := names.name(kept); !ok || name != "again.test" {
		t.Error("a name in use was dropped")
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(question("allowed.test.", dnsmessage.TypeA))
	f.Add(question("denied.test.", dnsmessage.TypeTXT))
	f.Add([]byte("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"))
	p, err := Parse("allowed.test", "*.wild.test")
	if err != nil {
		f.Fatal(err)
	}
	s, err := NewServer(Config{Policy: p, Limits: Limits{Queries: 1 << 30}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, query []byte) {
		reply := s.answer(query)
		if reply == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil {
			t.Fatal(err)
		}
		for _, a := range m.Answers {
			name := strings.ToLower(strings.TrimSuffix(a.Header.Name.String(), "."))
			if name != "allowed.test" && !strings.HasSuffix(name, ".wild.test") {
				t.Errorf("an answer for %q", name)
			}
		}
		if len(reply) > len(query)+32 {
			t.Errorf("%d bytes are answered with %d", len(query), len(reply))
		}
	})
}
