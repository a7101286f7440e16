package syslog

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
)

// An rsyslog is the real daemon, with a port of its own and mutual TLS.
type rsyslog struct {
	t    *testing.T
	dir  string
	port string // another one with each start
	conf *tls.Config
	cmd  *exec.Cmd
	log  *bytes.Buffer // of the daemon, complete once it has ended
}

const rsyslogConf = `
global(workDirectory="%[1]s" maxMessageSize="64k"
	defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="%[1]s/ca.pem"
	defaultNetstreamDriverCertFile="%[1]s/cert.pem" defaultNetstreamDriverKeyFile="%[1]s/key.pem")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/name" permittedPeer=["mcpsec.example"])
template(name="fields" type="list") {
	property(name="pri") constant(value=" ") property(name="hostname") constant(value=" ") property(name="app-name") constant(value=" ")
	property(name="procid") constant(value=" ") property(name="msgid") constant(value=" ") property(name="structured-data")
	constant(value=" ") property(name="msg") constant(value="\n")
}
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="%[1]s/port")
action(type="omfile" file="%[1]s/messages" template="fields")
`

func startRsyslog(t *testing.T) *rsyslog {
	t.Helper()
	path, err := exec.LookPath("rsyslogd")
	if err != nil {
		path = "/usr/sbin/rsyslogd" // not on every user's PATH
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("reason: rsyslogd not installed: apt install rsyslog rsyslog-gnutls")
	}
	if drivers, _ := filepath.Glob("/usr/lib*/*/rsyslog/lmnsd_gtls.so"); len(drivers) == 0 {
		if drivers, _ = filepath.Glob("/usr/lib*/rsyslog/lmnsd_gtls.so"); len(drivers) == 0 {
			t.Skip("reason: rsyslog's TLS driver not installed: apt install rsyslog-gnutls")
		}
	}
	a := newAuthority(t)
	r := &rsyslog{t: t, dir: t.TempDir()}
	server, client := a.issue("siem.example", soon(), loopback), a.issue("mcpsec.example", soon())
	der, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem":   {Type: "CERTIFICATE", Bytes: a.cert.Raw},
		"cert.pem": {Type: "CERTIFICATE", Bytes: server.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.conf = &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{client}, MinVersion: tls.VersionTLS12}
	r.start(path)
	t.Cleanup(r.kill)
	return r
}

// start runs the daemon and waits for its port.
func (r *rsyslog) start(path string) {
	r.t.Helper()
	conf := filepath.Join(r.dir, "rsyslog.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, rsyslogConf, r.dir), 0o600); err != nil {
		r.t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(r.dir, "port"))
	r.log = new(bytes.Buffer)
	r.cmd = exec.Command(path, "-n", "-f", conf, "-i", filepath.Join(r.dir, "pid"))
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.until("rsyslogd listens", func() bool {
		b, _ := os.ReadFile(filepath.Join(r.dir, "port"))
		if r.port = strings.TrimSpace(string(b)); r.port == "" {
			return false
		}
		c, err := net.Dial("tcp", "127.0.0.1:"+r.port) // it names the port before it listens there
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// kill ends the daemon at once, with whatever it had not written.
func (r *rsyslog) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// stop asks it to end, which writes out what it has read.
func (r *rsyslog) stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	_ = r.cmd.Wait()
}

// until waits for something the daemon does by itself.
func (r *rsyslog) until(what string, done func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			r.kill()
			r.t.Fatalf("waiting until %s: %v\n%s", what, ctx.Err(), r.log)
		case <-tick.C:
		}
	}
}

func (r *rsyslog) lines() []string {
	b, err := os.ReadFile(filepath.Join(r.dir, "messages"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	return lines[:len(lines)-1]
}

func (r *rsyslog) destination() *Destination {
	return destination(r.t, Config{Address: "127.0.0.1:" + r.port, TLS: r.conf, AllowBareClose: true, MaxBytes: 64 << 10})
}

// hostileRecords are n records whose names are attacks.
func hostileRecords(n int) []audit.Record {
	records := make([]audit.Record, n)
	for i := range records {
		e := outcome("call-"+strconv.Itoa(i), audit.Refused)
		e.Name, e.Principal.Subject, e.Reason = hostile[i%len(hostile)], hostile[i/7%len(hostile)], hostile[i/3%len(hostile)]
		records[i] = recordOf(uint64(i), e)
	}
	return records
}

// The real daemon takes 2,000 attacks for 2,000 lines, and each has what was sent.
func TestRsyslogTakesEveryRecordAsOneLine(t *testing.T) {
	t.Parallel()
	r := startRsyslog(t)
	d := r.destination()
	records := hostileRecords(2000)
	for from := 0; from < len(records); from += 500 {
		rejected, err := d.Deliver(t.Context(), records[from:from+500])
		if err != nil || len(rejected) != 0 {
			t.Fatalf("%v %v\n%s", rejected, err, r.log)
		}
	}
	r.until("all is written", func() bool { return len(r.lines()) >= len(records) })
	lines := r.lines()
	if len(lines) != len(records) {
		t.Fatalf("%d lines of %d records", len(lines), len(records))
	}
	for i, line := range lines {
		message, _ := frame(t, d, &records[i])
		head, _, _ := strings.Cut(message, "Z host.example ")
		pri := head[1:strings.Index(head, ">")]
		_, rest, _ := strings.Cut(message, "Z ")
		if want := pri + " " + rest; line != want {
			t.Fatalf("line %d\n got %q\nwant %q", i, line, want)
		}
	}
}

// A daemon that is killed, and one that is restarted, get again what they may have
// missed.
func TestRsyslogRestartLosesNothing(t *testing.T) {
	t.Parallel()
	r := startRsyslog(t)
	path := r.cmd.Path
	d := r.destination()
	records := hostileRecords(1500)

	if _, err := d.Deliver(t.Context(), records[:500]); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if _, err := d.Deliver(t.Context(), records[500:1000]); err == nil {
		t.Fatal("nobody listened, and the batch counts as delivered")
	}
	r.start(path)
	d = r.destination()

	// Killed with a connection open on which half of the batch was sent.
	s, err := d.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var half []byte
	for i := 500; i < 750; i++ {
		half, _ = d.appendFrame(half, &records[i])
	}
	if _, err := s.Write(half); err != nil {
		t.Fatal(err)
	}
	r.kill()
	if err := s.awaitEnd(); err == nil {
		t.Fatal("a killed daemon confirmed what it had")
	}
	r.start(path)
	d = r.destination()

	for from := 500; from < len(records); from += 500 {
		if _, err := d.Deliver(t.Context(), records[from:from+500]); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	seen := make(map[string]bool)
	for _, line := range r.lines() {
		_, rest, _ := strings.Cut(line, `id="`)
		id, _, _ := strings.Cut(rest, `"`)
		seen[id] = true
	}
	for i := range records {
		if !seen[records[i].ID()] {
			t.Fatalf("record %d is lost", i)
		}
	}
}

// Its GnuTLS driver sends no closure alert, and nothing is taken for one.
func TestRsyslogNeedsAllowBareClose(t *testing.T) {
	t.Parallel()
	r := startRsyslog(t)
	d := r.destination()
	d.bare = false
	if _, err := d.Deliver(t.Context(), batch(10)); !errors.Is(err, errBare) {
		t.Error(err)
	}
}

func TestRsyslogRefusesAnotherClient(t *testing.T) {
	t.Parallel()
	r := startRsyslog(t)
	for name, certificates := range map[string][]tls.Certificate{
		"no certificate": nil, "another authority's": {newAuthority(t).issue("mcpsec.example", soon())},
	} {
		d := r.destination()
		d.tls.Certificates = certificates
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := d.Deliver(ctx, batch(10))
		cancel()
		if err == nil {
			t.Errorf("%s: confirmed", name)
		}
	}
	r.stop()
	if n := len(r.lines()); n != 0 {
		t.Errorf("%d messages of strangers were taken", n)
	}
}
