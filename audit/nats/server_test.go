package nats

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

// patience bounds how long a test waits for what must happen.
const patience = time.Minute

const (
	stream  = "AUDIT"
	subject = "audit.files"
)

// A server is a real nats-server of this test's own.
type server struct {
	tb     testing.TB
	url    string
	config string
	admin  []gonats.Option // what the test itself connects with
	proc   *os.Process
	done   chan struct{}
}

// start runs nats-server with JetStream and further lines of configuration on a
// free port of the loopback interface, and ends it with the test.
func start(tb testing.TB, lines ...string) *server {
	tb.Helper()
	dir := tb.TempDir()
	s := &server{tb: tb, config: filepath.Join(dir, "server.conf")}
	eventually(tb, "nats-server has a port", func() bool {
		addr := "127.0.0.1:" + oracle.Port(tb) // and has it still after it was killed
		s.url = "nats://" + addr
		text := fmt.Sprintf("listen: %q\njetstream: {store_dir: %q}\n%s\n", addr, filepath.Join(dir, "store"), strings.Join(lines, "\n"))
		if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
		return s.try()
	})
	return s
}

// run starts the server again after it was killed.
func (s *server) run() {
	s.tb.Helper()
	eventually(s.tb, "nats-server has its port again", s.try)
}

// try starts the server and reports whether it got its port.
func (s *server) try() bool {
	s.tb.Helper()
	path, err := exec.LookPath("nats-server")
	if err != nil {
		if path = "/usr/sbin/nats-server"; !executable(path) {
			s.tb.Skip("reason: nats-server is not installed: apt install nats-server")
		}
	}
	log, err := os.Create(s.config + ".log")
	if err != nil {
		s.tb.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(path, "-c", s.config)
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
	says := func(what string) bool {
		text, err := os.ReadFile(s.config + ".log")
		return err == nil && strings.Contains(string(text), what)
	}
	ended := false
	eventually(s.tb, "nats-server is ready", func() bool {
		select {
		case <-done:
			ended = true
		default:
		}
		return ended || says("Server is ready")
	})
	if ended && !says("address already in use") {
		text, _ := os.ReadFile(s.config + ".log")
		s.tb.Fatalf("nats-server ended:\n%s", text)
	}
	return !ended
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// kill ends the server at once, as a crash does.
func (s *server) kill() {
	_ = s.proc.Kill()
	<-s.done
}

// still reports whether every thread of the server is stopped, which takes a while
// after the signal.
func (s *server) still() bool {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.proc.Pid))
	if err != nil || len(tasks) == 0 {
		s.tb.Skip("reason: no /proc, where threads are seen to be stopped: run on Linux")
	}
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if err != nil || !strings.Contains(string(stat), ") T ") {
			return false
		}
	}
	return true
}

// eventually polls until cond holds.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // polls another process
		if cond() {
			return
		}
	}
	tb.Fatalf("in vain waited %v until %s", patience, what)
}

// jetstream connects as the administrator of the test.
func (s *server) jetstream() (context.Context, *gonats.Conn, jetstream.JetStream) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	conn, err := gonats.Connect(s.url, append([]gonats.Option{gonats.Timeout(patience)}, s.admin...)...)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() {
		conn.Close()
		cancel()
	})
	js, err := jetstream.New(conn)
	if err != nil {
		s.tb.Fatal(err)
	}
	return ctx, conn, js
}

// store makes or changes the stream of the tests.
func (s *server) store(change func(*jetstream.StreamConfig)) {
	s.tb.Helper()
	ctx, _, js := s.jetstream()
	c := jetstream.StreamConfig{Name: stream, Subjects: []string{"audit.>"}, Duplicates: time.Hour}
	if change != nil {
		change(&c)
	}
	if _, err := js.CreateOrUpdateStream(ctx, c); err != nil {
		s.tb.Fatal(err)
	}
}
