package https

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
	"github.com/mcpsec/mcpsec-go/transport/https/pki"
)

// role makes a program of the test binary: a successor.
const role = "MCPSEC_TEST_SUCCESSOR"

func init() {
	dir := os.Getenv(role)
	if dir == "" {
		return
	}
	if err := succeed(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// succeed serves what it inherits until it is interrupted, and says its process id.
func succeed(dir string) error {
	i, err := Inherit()
	if err != nil {
		return err
	}
	for _, key := range []string{envFDs, envPID, envNames, envParent, envReady} {
		if _, ok := os.LookupEnv(key); ok {
			return errors.New(key + " is left")
		}
	}
	switch dir {
	case "fail":
		return errors.New("no server today")
	case "hang":
		select {}
	}
	l := i.Listener("mcp")
	if l == nil {
		return errors.New("nothing is inherited")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server, err := serverIn(dir)
	if err != nil {
		return err
	}
	go func() { <-ctx.Done(); _ = server.Shutdown(context.WithoutCancel(ctx)) }()
	if err := i.Ready(); err != nil {
		return err
	}
	if err := server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func serverIn(dir string) (*http.Server, error) {
	own, err := pki.Files(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, err
	}
	return &http.Server{
		TLSConfig:         tlsConfig(own, nil, nil),
		ReadHeaderTimeout: 20 * time.Second,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, os.Getpid()) }),
	}, nil
}

func clientTLS(root *testpki.Authority) *tls.Config {
	return &tls.Config{RootCAs: root.Pool(), MinVersion: tls.VersionTLS13}
}

func successor(ctx context.Context, dir string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// Under load, a server passes its socket to another process and ends: no connection is
// refused, no request lost.
func TestRestartRefusesNobody(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("reason: sockets are not passed on Windows")
	}
	root, dir := testpki.New(t, "root"), t.TempDir()
	testpki.WritePair(t, dir, root.Issue(t, "127.0.0.1"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := serverIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	var newcomers arrivals
	server.ConnState = newcomers.track
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(l, "", "") }()

	ctx, cancel := context.WithCancel(t.Context())
	var (
		group    sync.WaitGroup
		requests atomic.Int64
		by       sync.Map
	)
	for range 8 {
		client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: clientTLS(root), DisableKeepAlives: true}}
		group.Go(func() {
			for ctx.Err() == nil {
				resp, err := client.Get("https://" + l.Addr().String())
				if err != nil {
					t.Errorf("request %d: %v", requests.Load(), err)
					return
				}
				pid, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Error(err)
				}
				_ = resp.Body.Close()
				by.Store(string(pid), true)
				requests.Add(1)
			}
		})
	}
	more := func(n int64) {
		for from := requests.Load(); requests.Load() < from+n && !t.Failed(); {
			runtime.Gosched()
		}
	}
	more(50)
	second := successor(t.Context(), dir)
	if err := Succeed(t.Context(), second, map[string]net.Listener{"mcp": l}); err != nil {
		t.Fatal(err)
	}
	more(50)
	_ = l.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	newcomers.settle(t.Context())
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	more(50)
	cancel()
	group.Wait()
	for _, pid := range []int{os.Getpid(), second.Process.Pid} {
		if _, ok := by.Load(fmt.Sprint(pid)); !ok {
			t.Errorf("process %d has served nobody", pid)
		}
	}
	t.Logf("%d requests", requests.Load())
	if err := errors.Join(second.Process.Signal(os.Interrupt), second.Wait()); err != nil {
		t.Error(err)
	}
}

func TestSuccessorThatFails(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("reason: sockets are not passed on Windows")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	mcp := map[string]net.Listener{"mcp": l}
	fail := successor(t.Context(), "fail")
	fail.Stderr = nil
	if err := Succeed(t.Context(), fail, mcp); err == nil || !strings.Contains(err.Error(), "before it was ready") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := Succeed(ctx, successor(t.Context(), "hang"), mcp); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	none := exec.CommandContext(t.Context(), filepath.Join(t.TempDir(), "none"))
	if err := Succeed(t.Context(), none, mcp); !errors.Is(err, os.ErrNotExist) || none.ExtraFiles != nil {
		t.Errorf("got %v", err)
	}
	for name, l := range map[string]net.Listener{"a:b": l, "": l, "wrapped": limitListener(l, 1, 1, nil)} {
		if err := Succeed(t.Context(), successor(t.Context(), "fail"), map[string]net.Listener{name: l}); err == nil {
			t.Errorf("%q is passed on", name)
		}
	}
	// The listener is as it was: it accepts, and its Accept can be ended.
	done := make(chan error, 2)
	go func() {
		for {
			c, err := l.Accept()
			done <- err
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = l.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// Inherit is tested on the environment of the process, so not beside others.
func TestInherit(t *testing.T) {
	set := func(env map[string]string) {
		for _, key := range []string{envFDs, envPID, envNames, envParent, envReady} {
			t.Setenv(key, env[key])
		}
	}
	pid := fmt.Sprint(os.Getpid())
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"nothing":                {nil, ""},
		"of another process":     {map[string]string{envFDs: "1", envPID: "1"}, ""},
		"of nobody":              {map[string]string{envFDs: "1"}, ""},
		"of another parent":      {map[string]string{envFDs: "1", envPID: pid, envParent: "1234567"}, ""},
		"no number":              {map[string]string{envFDs: "many", envPID: pid}, "a number up to"},
		"too many":               {map[string]string{envFDs: "65", envPID: pid}, "a number up to"},
		"negative":               {map[string]string{envFDs: "-1", envPID: pid}, "a number up to"},
		"ready is anything else": {map[string]string{envFDs: "0", envParent: fmt.Sprint(os.Getppid()), envReady: "1"}, "3 is expected"},
	} {
		t.Run(name, func(t *testing.T) {
			set(test.env)
			i, err := Inherit()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err == nil && (i.Listener("") != nil || i.Ready() != nil || i.Close() != nil) {
				t.Error("something is inherited")
			}
			if os.Getenv(envFDs) != "" {
				t.Error("the variables are left")
			}
		})
	}
}

// systemd-socket-activate is systemd's own other side of the protocol.
func TestSystemdActivates(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("reason: systemd-socket-activate is not installed: apt install systemd")
	}
	root, dir := testpki.New(t, "root"), t.TempDir()
	testpki.WritePair(t, dir, root.Issue(t, "127.0.0.1"))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().String()
	_ = free.Close()
	cmd := exec.CommandContext(t.Context(), path, "--listen="+at, "--fdname=mcp", "--setenv="+role+"="+dir, os.Args[0])
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS(root), DisableKeepAlives: true}}
	deadline := time.Now().Add(30 * time.Second)
	for {
		resp, err := client.Get("https://" + at)
		if err == nil {
			pid, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if string(pid) != fmt.Sprint(cmd.Process.Pid) {
				t.Errorf("served by %s, not by %d", pid, cmd.Process.Pid)
			}
			break
		}
		if !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			t.Error(err)
			break
		}
	}
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
