package clients

import (
	"context"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// call is a tool call of revision 2026-07-28.
var call = strings.Replace(discover, `"method":"server/discover","params":{`,
	`"method":"tools/call","params":{"name":"test_simple_text","arguments":{},`, 1)

// load has four normal clients call for d, and for longer if fewer calls than least were
// answered by then, but not without end. It returns how many were answered, how many failed,
// and how long that took.
func (s *site) load(tb testing.TB, d time.Duration, least int64) (answered, failed int64, took time.Duration) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	began := time.Now()
	var good, bad atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		client := s.client(tb)
		all.Go(func() {
			for ctx.Err() == nil && (time.Since(began) < d || good.Load() < least) {
				switch ok := s.call(ctx, client); {
				case ok:
					good.Add(1)
				case ctx.Err() == nil:
					bad.Add(1)
				}
			}
		})
	}
	all.Wait()
	return good.Load(), bad.Load(), time.Since(began)
}

func (s *site) call(ctx context.Context, client *http.Client) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/mcp", strings.NewReader(call))
	if err != nil {
		return false
	}
	modern(r)
	r.Header.Set("Mcp-Method", "tools/call")
	r.Header.Set("Mcp-Name", "test_simple_text")
	res, err := client.Do(r)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	var b strings.Builder
	_, err = copyBounded(&b, res.Body)
	return err == nil && res.StatusCode == http.StatusOK && strings.Contains(b.String(), "simple text response")
}

// resident returns the memory of the server, in MiB.
func (s *site) resident(tb testing.TB) int {
	tb.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(s.PID) + "/status")
	if err != nil {
		tb.Skip("reason: memory is read from /proc")
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				tb.Fatal(err)
			}
			return kib >> 10
		}
	}
	tb.Fatal("no VmRSS")
	return 0
}
