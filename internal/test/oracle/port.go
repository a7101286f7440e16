package oracle

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// Ports lie below those that systems give to whoever asks for any, which listens or calls
// from there at once; and those of one process apart from those of the next ones.
const (
	firstPort = 10_000
	perTest   = 96
	blocks    = 200 // processes of consecutive numbers run at a time
)

var ports atomic.Uint32

// Port returns a free port of the loopback interface, for a program that has to be told
// one. It stays free until the program listens.
func Port(tb testing.TB) string {
	tb.Helper()
	for range perTest {
		n := int(ports.Add(1)) % perTest
		port := strconv.Itoa(firstPort + os.Getpid()%blocks*perTest + n)
		l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			tb.Fatal(err)
		}
		return port
	}
	tb.Fatal("no port of this process is free")
	return ""
}
