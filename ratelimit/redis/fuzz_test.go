package redis

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// Whatever a server answers, the store neither panics nor lets a call pass by
// accident: a verdict is what the scripts can have said, or an error.
func FuzzAnswer(f *testing.F) {
	word := func(n ...int64) (b []byte) {
		for _, n := range n {
			b = binary.BigEndian.AppendUint64(b, uint64(n))
		}
		return b
	}
	f.Add(word(passed, 1, 0, 20500, 5))
	f.Add(word(limited, 1, 3_600_000_000_000))
	f.Add(word(untimely, 1))
	f.Add(word(overspent, 1, 0, 20500, 100, 0, 1, 20500, 100))
	f.Add(word(overspent, 1, 0, 20500, 100, 0, 1<<62))
	f.Add(word(expired, -1))
	client := goredis.NewClient(&goredis.Options{ContextTimeoutEnabled: true})
	f.Cleanup(func() { _ = client.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		var list []any
		for ; len(data) >= 8; data = data[8:] {
			list = append(list, int64(binary.BigEndian.Uint64(data)))
		}
		if len(data) > 0 {
			list = append(list, string(data))
		}
		s, err := New(client, Config{})
		if err != nil {
			t.Fatal(err)
		}
		req := spend("1", daily("a", 100, 5))
		req.Buckets = []ratelimit.Bucket{bucket("b", 10, time.Hour)}
		var p plan
		if _, decided := s.leases.decide(0, req, &p); decided {
			t.Fatal("decided without an answer")
		}
		a, err := decode(list)
		var v ratelimit.Verdict
		if err == nil {
			v, err = s.read(a, req, &p, 0, s.keys(req, &p))
		}
		switch {
		case err != nil:
			if !errors.Is(err, errFaulty) && !errors.Is(err, errUntimely) || v.Hold != nil {
				t.Errorf("got %+v, %v", v, err)
			}
		case passes(v) != (a.verdict == passed) || passes(v) != (v.Hold != nil):
			t.Errorf("verdict %d gives %+v", a.verdict, v)
		case v.Bucket.Wait < 0 || v.Reservation.Wait < 0:
			t.Errorf("a wait that is over: %+v", v)
		}
	})
}
