package clients

import (
	"maps"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

// sslscan: one version of TLS, and no cipher that is not an AEAD.
func TestSSLScan(t *testing.T) {
	t.Parallel()
	scan := system(t, "sslscan", "sslscan")
	out, err := output(t, exec.Command(scan, "--no-colour", secured(t).Addr), time.Minute)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, version := range []string{"SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2"} {
		if !regexp.MustCompile(version+` +disabled`).MatchString(out) || regexp.MustCompile(`(?m)(Preferred|Accepted) +`+version+` `).MatchString(out) {
			t.Errorf("%s is not disabled", version)
		}
	}
	ciphers := regexp.MustCompile(`(?m)^(?:Preferred|Accepted) +TLSv1\.3 +\d+ bits +(\S+)`).FindAllStringSubmatch(out, -1)
	if len(ciphers) == 0 {
		t.Errorf("no cipher of TLS 1.3: %s", out)
	}
	for _, c := range ciphers {
		if !strings.Contains(c[1], "GCM") && !strings.Contains(c[1], "CHACHA20_POLY1305") {
			t.Errorf("cipher %s", c[1])
		}
	}
}

// nmap grades the ciphers.
func TestNmap(t *testing.T) {
	t.Parallel()
	nmap := system(t, "nmap", "nmap")
	s := secured(t)
	host, port, _ := strings.Cut(s.Addr, ":")
	out, err := output(t, exec.Command(nmap, "-Pn", "-p", port, "--script", "ssl-enum-ciphers", host), time.Minute)
	if err != nil || !strings.Contains(out, "TLSv1.3:") || !strings.Contains(out, "least strength: A") {
		t.Errorf("%v: %s", err, out)
	}
	for _, version := range []string{"SSLv3:", "TLSv1.0:", "TLSv1.1:", "TLSv1.2:"} {
		if strings.Contains(out, version) {
			t.Errorf("nmap found %s %s", version, out)
		}
	}
}

// testssl.sh: protocols, ciphers, forward secrecy, server defaults, vulnerabilities.
func TestTestSSL(t *testing.T) {
	t.Parallel()
	testssl := system(t, "testssl", "testssl.sh")
	long(t)
	out, _ := output(t, exec.Command(testssl, "--quiet", "--color", "0", "--warnings", "off",
		"-p", "-s", "-f", "-U", "--ip", "one", secured(t).Addr), 5*time.Minute) // its code counts remarks
	if !regexp.MustCompile(`TLS 1\.3 +offered \(OK\)`).MatchString(out) {
		t.Errorf("no TLS 1.3: %s", tail(out))
	}
	for _, version := range []string{`SSLv2`, `SSLv3`, `TLS 1`, `TLS 1\.1`, `TLS 1\.2`} {
		if !regexp.MustCompile(`(?m)^ ?` + version + ` +not offered`).MatchString(out) {
			t.Errorf("%s is offered", version)
		}
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "VULNERABLE") && !strings.Contains(line, "not vulnerable") {
			t.Error(strings.TrimSpace(line))
		}
	}
}

var h2total = regexp.MustCompile(`(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed`)

// h2spec: what net/http passes by itself passes here, test for test. Some of its cases send a
// body whose request may have been answered by then, and pass or not by who is faster, with
// either server: what fails is what fails every time.
func TestH2Spec(t *testing.T) {
	t.Parallel()
	spec := oracle.Path(t, "h2spec")
	long(t)
	judge := func(s *site) (passed int, failed map[string]bool) {
		host, port, _ := strings.Cut(s.Addr, ":")
		out, _ := output(t, exec.Command(spec, "-t", "-k", "-h", host, "-p", port, "-P", "/", "--timeout", "2"), 5*time.Minute)
		m := h2total.FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("h2spec: %s", tail(out))
		}
		passed, _ = strconv.Atoi(m[2])
		failed = make(map[string]bool)
		for _, f := range regexp.MustCompile(`(?m)^\s*× (.*)$`).FindAllStringSubmatch(out, -1) {
			failed[f[1]] = true
		}
		return passed, failed
	}
	always := func(s *site) (most int, failed map[string]bool) {
		for n := range 4 {
			passed, some := judge(s)
			if most = max(most, passed); n == 0 {
				failed = some
			}
			maps.DeleteFunc(failed, func(name string, _ bool) bool { return !some[name] })
		}
		return most, failed
	}
	reference, known := always(bare(t))
	passed, failed := always(secured(t, "-anyone"))
	t.Logf("h2spec: at most %d passed, and %d with net/http alone; always failed: %d and %d", passed, reference, len(failed), len(known))
	for name := range failed {
		if !known[name] {
			t.Errorf("net/http alone passes: %s", name)
		}
	}
}
