package child

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const (
	credentialsPath = "/credentials"
	// maxRequests bounds how many of the child's are served at the same time, and
	// maxConnections what anybody on the machine may hold.
	maxRequests    = 8
	maxConnections = 64
)

// A server is the endpoint of one credential for one child.
type server struct {
	handle   *creds.Handle
	name     string
	token    []byte
	listener net.Listener

	ctx  context.Context //nolint:containedctx // of the run
	pid  int
	busy chan struct{}
	open atomic.Int32 // connections
	wg   sync.WaitGroup
}

// serve lets s answer from the start of the child to the end of the run.
func (r *run) serve(ctx context.Context, s *server) {
	ctx, cancel := context.WithCancel(ctx)
	s.ctx, s.busy = ctx, make(chan struct{}, maxRequests)
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: 2 * time.Second, ReadTimeout: 2 * time.Second,
		WriteTimeout: creds.IssueTimeout + 2*time.Second, MaxHeaderBytes: 8 << 10,
		ErrorLog:  log.New(io.Discard, "", 0), // what strangers send is no news
		ConnState: s.count,
	}
	h.SetKeepAlivesEnabled(false)
	r.undo = append(r.undo, s.wg.Wait)
	r.later(func(pid int) {
		s.pid = pid
		_ = h.Serve(s.listener) // ends with Close
	})
	r.undo = append(r.undo, func() {
		cancel()
		_ = s.listener.Close() // also if the child was never started
		_ = h.Close()
	})
}

// count follows a connection from its first state to its last.
func (s *server) count(c net.Conn, state http.ConnState) {
	switch state { //nolint:exhaustive // the first and the last
	case http.StateNew:
		s.wg.Add(1)
		if s.open.Add(1) > maxConnections {
			_ = c.Close() // whoever has that many means no good
		}
	case http.StateClosed:
		s.open.Add(-1)
		s.wg.Done()
	}
}

// ServeHTTP answers as the containers' endpoint of AWS does. What is wrong with a
// request that has no right to an answer is not said.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.admits(r) {
		refuse(w, http.StatusForbidden, "Forbidden", "not for you")
		return
	}
	select {
	case s.busy <- struct{}{}:
	default:
		refuse(w, http.StatusTooManyRequests, "Busy", "too many requests")
		return
	}
	defer func() { <-s.busy }()
	k, _, err := fetch(s.ctx, s.handle, s.name) //nolint:contextcheck // who asks may go away; others ask for the same
	if err != nil {
		status, why := http.StatusServiceUnavailable, "the credential cannot be had at the moment"
		if d, ok := errors.AsType[*mcpsec.Denial](err); ok {
			if why = d.Reason; d.Code == "creds.closed" {
				status = http.StatusForbidden // there is no use in trying again
			}
		}
		refuse(w, status, "Unavailable", why)
		return
	}
	body := append([]byte(`{"Code":"Success","AccessKeyId":`), appendString(nil, []byte(k.ID))...)
	body = appendString(append(body, `,"SecretAccessKey":`...), []byte(k.Secret))
	body = appendString(append(body, `,"Token":`...), []byte(k.Token))
	body = append(body, `,"Expiration":"`+k.End.UTC().Format(time.RFC3339)+`"}`...)
	defer clear(body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body) // a child that has gone needs none
}

// admits reports whether a request is the child's.
func (s *server) admits(r *http.Request) bool {
	given := r.Header.Values("Authorization")
	token := len(given) == 1 && subtle.ConstantTimeCompare([]byte(given[0]), s.token) == 1
	if !token || r.Host != s.listener.Addr().String() || r.Method != http.MethodGet || r.RequestURI != credentialsPath {
		return false
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	local, ok := s.listener.Addr().(*net.TCPAddr)
	return err == nil && ok && peer.Addr().IsLoopback() && belongs(s.pid, peer, local.AddrPort())
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"code":"`+code+`","message":"`+message+`"}`) // a child that has gone needs none
}
