package egress

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run runs a program with the proxy in its environment and returns what it wrote.
func (w *way) run(t *testing.T, stdin, name string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("reason: %s is not installed: apt install %s", name, filepath.Base(name))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	proxy := "http://" + w.addr
	dir := t.TempDir()
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=/usr/bin:/bin", "HOME=" + dir, "HTTP_PROXY=" + proxy, "HTTPS_PROXY=" + proxy, "http_proxy=" + proxy, "https_proxy=" + proxy,
		"NODE_USE_ENV_PROXY=1", "NODE_EXTRA_CA_CERTS=" + w.world.rootFile, "SSL_CERT_FILE=" + w.world.rootFile,
		"GIT_SSL_CAINFO=" + w.world.rootFile, "CURL_CA_BUNDLE=" + w.world.rootFile, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1",
	}
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &out
	err = cmd.Run()
	return out.String(), err
}

// probe 73: clients that know of proxies reach what is listed, and learn why they do not
// reach what is not. Those that do not are tested in a sandbox.
func TestClientsWithAProxy(t *testing.T) {
	t.Parallel()
	const python = `
import sys, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())
except Exception as e:
    print("failed", e); sys.exit(1)
`
	for name, c := range map[string]struct {
		program string
		args    func(url string, w *way) []string
		denied  string // in what is written for a host that is not listed
	}{
		"curl": {"curl", func(url string, w *way) []string { return []string{"-sS", "--max-time", "60", url} }, "403"},
		"curl socks5h": {"curl", func(url string, w *way) []string {
			return []string{"-sS", "--max-time", "60", "--proxy", "socks5h://" + w.addr, url}
		}, "SOCKS5"},
		"python": {"/usr/bin/python3", func(url string, w *way) []string { return []string{"-c", python, url} }, "403"},
		"openssl": {"openssl", func(target string, w *way) []string {
			u, _ := url.Parse(target)
			return []string{"s_client", "-proxy", w.addr, "-servername", u.Hostname(), "-quiet", "-CAfile", w.world.rootFile, "-connect", u.Hostname() + ":443"}
		}, "403"},
		"wget": {"wget", func(url string, w *way) []string {
			return []string{"-qO-", "--tries=1", "--timeout=60", "--ca-certificate=" + w.world.rootFile, url}
		}, ""},
		"git": {"git", func(url string, w *way) []string { return []string{"ls-remote", url} }, "403"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := serve(t)
			stdin := ""
			if name == "openssl" {
				stdin = "GET /x HTTP/1.1\r\nHost: a.wild.test\r\nConnection: close\r\n\r\n"
			}
			got, err := w.run(t, stdin, c.program, c.args("https://a.wild.test/x", w)...)
			want := "host=a.wild.test path=/x"
			if name == "git" { // the web server is no repository: it lists nothing
				want = ""
			}
			if err != nil || !strings.Contains(got, want) {
				t.Errorf("listed: %q %v", got, err)
			}
			if d := w.world.dialled(); len(d) != 1 || d[0] != "93.184.216.35:443" {
				t.Errorf("dialled %v", d)
			}
			got, err = w.run(t, "", c.program, c.args("https://denied.test/x", w)...)
			if err == nil || !strings.Contains(got, c.denied) {
				t.Errorf("not listed: %q %v", got, err)
			}
			w.Close()
			if r := w.world.refusals(); len(r) == 0 || r[0] != codeNotListed.Name {
				t.Errorf("refusals %v", r)
			}
		})
	}
}

// Go's own client shows the reason for plain HTTP, where a proxy can give one.
func TestGoClientWithAProxy(t *testing.T) {
	t.Parallel()
	w := serve(t)
	proxy, _ := url.Parse("http://" + w.addr)
	transport := &http.Transport{Proxy: http.ProxyURL(proxy)}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	res, err := client.Get("http://denied.test/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusForbidden {
		t.Error(res.Status)
	}
	contains(t, string(body), "egress.not_listed: denied.test:80 is not on this server's list of hosts")
	contains(t, string(body), "do not retry")
	for i := range 3 { // on one connection
		res, err := client.Get(fmt.Sprintf("http://plain.test/%d", i))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		contains(t, string(text), fmt.Sprintf("path=/%d", i))
	}
}
