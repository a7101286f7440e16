package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// replicaOf makes this test binary a replica of a server, which spends from a
// budget until it is refused or killed.
const replicaOf = "MCPSEC_TEST_REPLICA_OF"

const (
	sharedLimit = 40_000
	worstCase   = 20 // what a call reserves
	ahead       = 8  // calls of a replica that the test has not heard of yet
)

// replica prints what it has really spent, after it was allowed to and before it
// settles. For each line that was read it gets a byte: a test that is held up must not
// come too late to kill it.
func replica(addr string, in io.Reader, out io.Writer) error {
	client := goredis.NewClient(&goredis.Options{Addr: addr, ContextTimeoutEnabled: true})
	defer client.Close()
	s, err := New(client, Config{})
	if err != nil {
		return err
	}
	s.link.budget = patience
	defer s.Close()
	for n := 0; ; n++ {
		if n >= ahead {
			if _, err := io.ReadFull(in, make([]byte, 1)); err != nil {
				return err
			}
		}
		id := strconv.FormatUint(rand.Uint64(), 36)
		v, err := s.Take(context.Background(), spend(id, daily("shared", sharedLimit, worstCase)))
		if err != nil {
			return err
		}
		if !passes(v) {
			_, err := fmt.Fprintln(out, "refused")
			return err
		}
		spent := rand.Int64N(worstCase + 1)
		if _, err := fmt.Fprintln(out, spent); err != nil {
			return err
		}
		if err := v.Hold.Settle(context.Background(), []int64{spent}); err != nil && !errors.Is(err, ratelimit.ErrExpired) {
			return err
		}
	}
}

// A spender is a replica in a process of its own.
type spender struct {
	spent   int64
	refused bool
	killed  bool
	err     error
}

// watch runs a replica, and kills it after some calls, wherever it is then.
func (s *spender) watch(addr string, calls int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), replicaOf+"="+addr)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	in, noInput := cmd.StdinPipe()
	if err = errors.Join(err, noInput); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.err = err
		return
	}
	for lines := bufio.NewReader(out); ; calls-- {
		line, err := lines.ReadString('\n')
		if err != nil { // a line cut off was not spent
			break
		}
		if calls == 0 {
			_ = cmd.Process.Kill()
		}
		_, _ = in.Write([]byte{1}) // it may have ended
		if line == "refused\n" {
			s.refused = true
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		s.spent, s.err = s.spent+n, errors.Join(s.err, err)
	}
	s.killed = cmd.Wait() != nil
}

func TestBudgetIsNotOverspentWhenReplicasAreKilled(t *testing.T) {
	srv := start(t)
	s := open(t, srv, Config{})
	var total int64
	killed := 0
	for round, refused := 0, 0; refused < 4; round++ {
		spenders := make([]spender, 4)
		var wg sync.WaitGroup
		for i := range spenders {
			calls := 20 + rand.IntN(200)
			if round > 9 { // let them end
				calls = -1
			}
			wg.Go(func() { spenders[i].watch(srv.addr, calls) })
		}
		wg.Wait()
		refused = 0
		for _, one := range spenders {
			if one.err != nil || round > 9 && one.killed {
				t.Fatalf("a replica failed: %v", one.err)
			}
			total += one.spent
			if one.refused {
				refused++
			} else if one.killed {
				killed++
			}
		}
	}
	level := mustTake(t, s, spend("level", daily("shared", sharedLimit, 0))).Spent[0]
	t.Logf("spent %d of %d, booked %d, %d replicas killed", total, sharedLimit, level, killed)
	if total > sharedLimit || level > sharedLimit || total > level {
		t.Error("overspent")
	}
	if killed < 4 {
		t.Errorf("%d replicas were killed: the test shows nothing", killed)
	}
	if left := sharedLimit - level; left >= worstCase {
		t.Errorf("refused with %d left", left)
	}
}
