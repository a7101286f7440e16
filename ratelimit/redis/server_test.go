package redis

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

// patience bounds how long a test waits for a server to do what it was told.
const patience = 60 * time.Second

// A server is a real redis-server of this test's own.
type server struct {
	tb   testing.TB
	addr string
	args []string
	dir  string
	name string
	proc *os.Process
	done chan struct{}
}

// start runs redis-server with further options on a free port of the loopback
// interface, and ends it with the test.
func start(tb testing.TB, args ...string) *server {
	tb.Helper()
	s := &server{tb: tb, name: "redis-server", addr: freeAddr(tb), dir: tb.TempDir(), args: append([]string{
		"--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--daemonize", "no",
	}, args...)}
	s.run()
	return s
}

func freeAddr(tb testing.TB) string {
	tb.Helper()
	return "127.0.0.1:" + oracle.Port(tb)
}

func portOf(addr string) string {
	_, port, _ := strings.Cut(addr, ":")
	return port
}

// program finds a server on PATH, or skips the test and says what to install.
func program(tb testing.TB, name, pkg string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Skipf("reason: %s is not installed: apt install %s", name, pkg)
	}
	return path
}

func (s *server) run() {
	s.tb.Helper()
	path := program(s.tb, "redis-server", "redis-server")
	args := append([]string{"--port", portOf(s.addr), "--dir", s.dir}, s.args...)
	if s.name == "redis-sentinel" {
		path, args = program(s.tb, s.name, "redis-sentinel"), s.args
	}
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		s.tb.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	done := make(chan struct{})
	s.proc, s.done = cmd.Process, done
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	s.tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
	})
	eventually(s.tb, "redis-server answers", func() bool {
		select {
		case <-done: // and whoever answers is another
			text, _ := os.ReadFile(log.Name())
			s.tb.Fatalf("redis-server has ended: %s", text)
		default:
		}
		err := s.ask("PING")
		return err == nil || strings.Contains(err.Error(), "NOAUTH")
	})
}

// kill ends the server at once, as a crash does.
func (s *server) kill() {
	_ = s.proc.Kill()
	<-s.done
}

// freeze stops the server without closing its connections: it accepts and never
// answers. thaw ends that.
func (s *server) freeze() { s.signal(syscall.SIGSTOP) }
func (s *server) thaw()   { s.signal(syscall.SIGCONT) }

func (s *server) signal(sig os.Signal) {
	s.tb.Helper()
	if err := s.proc.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
}

// ask sends one command on a connection of its own.
func (s *server) ask(args ...any) error {
	_, err := s.answer(args...)
	return err
}

func (s *server) answer(args ...any) (any, error) {
	c := goredis.NewClient(&goredis.Options{Addr: s.addr, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Do(ctx, args...).Result()
}

// must is ask for commands that have to succeed.
func (s *server) must(args ...any) any {
	s.tb.Helper()
	got, err := s.answer(args...)
	if err != nil {
		s.tb.Fatalf("%v: %v", args, err)
	}
	return got
}

// client is a client as the documentation recommends it.
func (s *server) client() *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: s.addr, ContextTimeoutEnabled: true})
	s.tb.Cleanup(func() { _ = c.Close() })
	return c
}

// eventually polls until cond holds.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if cond() {
			return
		}
	}
	tb.Fatalf("in vain waited %v until %s", patience, what)
}

// cluster starts three masters, each with a third of the slots.
func cluster(tb testing.TB) (nodes []*server, client *goredis.ClusterClient) {
	tb.Helper()
	const n, slots = 3, 16384
	var addrs []string
	for i := range n {
		s := start(tb, "--cluster-enabled", "yes", "--cluster-port", portOf(freeAddr(tb)), "--cluster-node-timeout", "5000")
		s.must("CLUSTER", "ADDSLOTSRANGE", i*slots/n, (i+1)*slots/n-1)
		nodes, addrs = append(nodes, s), append(addrs, s.addr)
	}
	for _, s := range nodes[1:] {
		bus := strings.TrimSpace(s.args[len(s.args)-3])
		nodes[0].must("CLUSTER", "MEET", "127.0.0.1", portOf(s.addr), bus)
	}
	for _, s := range nodes {
		eventually(tb, "the cluster agrees", func() bool {
			info, err := s.answer("CLUSTER", "INFO")
			text := fmt.Sprint(info)
			return err == nil && strings.Contains(text, "cluster_state:ok") && strings.Contains(text, "cluster_known_nodes:3")
		})
	}
	client = goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})
	tb.Cleanup(func() { _ = client.Close() })
	return nodes, client
}

// watched starts a master, a replica of it and a sentinel that watches both.
func watched(tb testing.TB) (master, replica *server, client *goredis.Client) {
	tb.Helper()
	program(tb, "redis-sentinel", "redis-sentinel")
	master = start(tb)
	replica = start(tb, "--replicaof", "127.0.0.1", portOf(master.addr), "--repl-diskless-sync-delay", "0")
	eventually(tb, "the replica follows", func() bool {
		info, err := replica.answer("INFO", "replication")
		return err == nil && strings.Contains(fmt.Sprint(info), "master_link_status:up")
	})
	s := &server{tb: tb, name: "redis-sentinel", addr: freeAddr(tb), dir: tb.TempDir()}
	conf := filepath.Join(s.dir, "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor limits 127.0.0.1 %s 1\n"+
		"sentinel down-after-milliseconds limits 500\nsentinel failover-timeout limits 2000\n",
		portOf(s.addr), s.dir, portOf(master.addr))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	s.args = []string{conf}
	s.run()
	eventually(tb, "the sentinel knows the replica", func() bool {
		known, err := s.answer("SENTINEL", "REPLICAS", "limits")
		list, _ := known.([]any)
		return err == nil && len(list) == 1
	})
	client = goredis.NewFailoverClient(&goredis.FailoverOptions{
		MasterName: "limits", SentinelAddrs: []string{s.addr}, ContextTimeoutEnabled: true,
	})
	tb.Cleanup(func() { _ = client.Close() })
	return master, replica, client
}
