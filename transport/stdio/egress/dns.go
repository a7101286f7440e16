package egress

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const (
	// maxQuery bounds a question; an honest one has at most 300 bytes and a few options.
	maxQuery = 1232
	// ttl of answers, in seconds: a name keeps its address for as long as there is room.
	ttl = 60

	typeSVCB  dnsmessage.Type = 64
	typeHTTPS dnsmessage.Type = 65
)

// answerPackets answers questions until the socket is closed.
func (s *Server) answerPackets(pc net.PacketConn) {
	b := make([]byte, maxQuery+1)
	for failures := 0; failures < 100; {
		n, from, err := pc.ReadFrom(b)
		switch {
		case errors.Is(err, net.ErrClosed) || s.ctx.Err() != nil:
			return
		case err != nil: // such as the report that an earlier answer found nobody
			failures++
		default:
			failures = 0
			if reply := s.answer(b[:n]); reply != nil {
				_, _ = pc.WriteTo(reply, from)
			}
		}
	}
}

// answerStream answers questions over TCP (RFC 7766).
func (s *Server) answerStream(c *client) {
	defer func() { _ = c.Close() }()
	for {
		_ = c.SetDeadline(time.Now().Add(s.Limits.Handshake))
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint16(size[:])
		if n > maxQuery {
			s.note(ViaDNS, endpoint{}, codeMalformed.Deny("a question of more than 1232 bytes"))
			return
		}
		query := make([]byte, n)
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		reply := s.answer(query)
		if reply == nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil { //nolint:gosec // a reply is little longer than its question
			return
		}
	}
}

// answer returns the reply to a question, or nil if it is not one. No question leaves the
// host: what can be answered is known from the policy.
func (s *Server) answer(query []byte) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil || head.Response || len(query) > maxQuery {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	if _, err = p.Question(); !errors.Is(err, dnsmessage.ErrSectionDone) {
		return nil
	}
	var code dnsmessage.RCode
	var d *mcpsec.Denial
	var to endpoint
	if s.queries.AllowN(s.now(), 1) {
		to.host, code, d = s.judge(head, q)
	} else {
		code, d = dnsmessage.RCodeRefused, codeQueries.Deny("too many questions for names")
	}
	if d != nil {
		s.note(ViaDNS, to, d)
	}
	return s.reply(head, q, code, to.host.name)
}

// judge decides about one question.
func (s *Server) judge(head dnsmessage.Header, q dnsmessage.Question) (host, dnsmessage.RCode, *mcpsec.Denial) {
	if head.OpCode != 0 || q.Class != dnsmessage.ClassINET {
		return host{}, dnsmessage.RCodeNotImplemented, codeProtocol.Deny("only questions of class IN are answered")
	}
	name, err := canonical(q.Name.String())
	if err != nil {
		name = ""
	}
	h := host{name: name}
	switch q.Type {
	case dnsmessage.TypeA, dnsmessage.TypeAAAA, typeHTTPS, typeSVCB:
	case dnsmessage.TypePTR:
		return h, dnsmessage.RCodeNameError, nil // addresses have no names here
	default:
		return h, dnsmessage.RCodeRefused, codeProtocol.Deny("questions of type " + q.Type.String() + " are not answered")
	}
	switch {
	case err != nil:
		return h, dnsmessage.RCodeNameError, codeMalformed.Deny("a question for what is no host name").Because(err)
	case !s.Policy.listed(name):
		return h, dnsmessage.RCodeNameError, codeNotListed.Deny(name + " is not on this server's list of hosts")
	}
	return h, dnsmessage.RCodeSuccess, nil
}

// reply renders the answer: an address for questions of type A, nothing for others.
func (s *Server) reply(head dnsmessage.Header, q dnsmessage.Question, code dnsmessage.RCode, name string) []byte {
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: head.ID, Response: true, OpCode: head.OpCode, Authoritative: true,
			RecursionDesired: head.RecursionDesired, RecursionAvailable: true, RCode: code,
		},
		Questions: []dnsmessage.Question{q},
	}
	if code == dnsmessage.RCodeSuccess && q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: ttl},
			Body:   &dnsmessage.AResource{A: s.names.address(name).As4()},
		}}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}
