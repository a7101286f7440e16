package spiffe

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// An agent is a Workload API of one test, on a Unix socket.
type agent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer

	socket string
	mu     sync.Mutex
	answer *workload.X509SVIDResponse
	err    error
	news   chan struct{}
}

func newAgent(t *testing.T, answer *workload.X509SVIDResponse) *agent {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skipf("reason: no Unix sockets here: %v", err)
	}
	a := &agent{socket: "unix://" + path, answer: answer, news: make(chan struct{})}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, a)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return a
}

// FetchX509SVID sends what there is, and again when that changes.
func (a *agent) FetchX509SVID(_ *workload.X509SVIDRequest, stream grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	if md, _ := metadata.FromIncomingContext(stream.Context()); len(md.Get("workload.spiffe.io")) == 0 {
		return status.Error(codes.InvalidArgument, "the security header is missing")
	}
	for {
		a.mu.Lock()
		answer, err, news := a.answer, a.err, a.news
		a.mu.Unlock()
		if err != nil {
			return err
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
		select {
		case <-news:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// push changes what the API says.
func (a *agent) push(answer *workload.X509SVIDResponse, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer, a.err = answer, err
	close(a.news)
	a.news = make(chan struct{})
}

// answerOf is an answer of one trust domain.
func answerOf(t *testing.T, bundle []*testpki.Authority, ids ...*tls.Certificate) *workload.X509SVIDResponse {
	t.Helper()
	answer := &workload.X509SVIDResponse{FederatedBundles: map[string][]byte{}}
	for _, c := range ids {
		key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		answer.Svids = append(answer.Svids, &workload.X509SVID{
			SpiffeId: c.Leaf.URIs[0].String(), X509Svid: bytes.Join(c.Certificate, nil), X509SvidKey: key, Bundle: ders(bundle...),
		})
	}
	return answer
}

func ders(all ...*testpki.Authority) []byte {
	var out []byte
	for _, a := range all {
		out = append(out, a.Cert.Raw...)
	}
	return out
}
