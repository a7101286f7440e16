package egress

import (
	"container/list"
	"encoding/binary"
	"net/netip"
	"strconv"
	"sync"
)

// maxNames bounds the names that have a made-up address at one time.
const maxNames = 4096

// A table gives names addresses of 198.18.0.0/15 that stand for them. If it is full, the
// name that was asked for longest ago loses its own, which is not given to another before
// all others have been.
type table struct {
	mu     sync.Mutex
	next   uint32
	byAddr map[netip.Addr]*list.Element
	byName map[string]*list.Element
	recent list.List // of pairs, the latest first
}

type pair struct {
	name string
	addr netip.Addr
}

func newTable() *table {
	return &table{byAddr: make(map[netip.Addr]*list.Element), byName: make(map[string]*list.Element)}
}

// address returns the address that stands for the name.
func (t *table) address(name string) netip.Addr {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.byName[name]; ok {
		t.recent.MoveToFront(e)
		return e.Value.(pair).addr //nolint:forcetypeassert // nothing else is in the list
	}
	if t.recent.Len() >= maxNames {
		old := t.recent.Remove(t.recent.Back()).(pair) //nolint:forcetypeassert // nothing else is in the list
		delete(t.byName, old.name)
		delete(t.byAddr, old.addr)
	}
	p := pair{name: name}
	for taken := true; taken; { // ends: there are 32 times as many addresses as names
		const size = 1 << 17
		t.next = t.next%(size-2) + 1 // neither the first nor the last
		b := madeUp.Addr().As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+t.next)
		p.addr = netip.AddrFrom4(b)
		_, taken = t.byAddr[p.addr]
	}
	e := t.recent.PushFront(p)
	t.byName[name], t.byAddr[p.addr] = e, e
	return p.addr
}

// name returns the name that an address stands for.
func (t *table) name(a netip.Addr) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.byAddr[a]
	if !ok {
		return "", false
	}
	t.recent.MoveToFront(e)
	return e.Value.(pair).name, true //nolint:forcetypeassert // nothing else is in the list
}

// meant returns the name for which a made-up address stands, with the same port; anything
// else as it is.
func (s *Server) meant(to endpoint) endpoint {
	if name, ok := s.names.name(to.host.addr); ok {
		to.host = host{name: name}
	}
	return to
}

// quote makes what a program wrote fit for a record: printable and short.
func quote(s string) string {
	const most = 80
	return strconv.QuoteToASCII(s[:min(len(s), most)])
}
