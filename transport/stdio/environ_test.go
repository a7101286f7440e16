//go:build linux

package stdio_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/transport/stdio"
)

func TestTheEnvironmentIsBuiltFromNothing(t *testing.T) {
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SSH_AUTH_SOCK", "KUBECONFIG", "DOCKER_HOST", "LD_PRELOAD_NOT", "http_proxy"} {
		t.Setenv(name, "of the host")
	}
	t.Setenv("PASSED_TOKEN", "hunter2")
	l, _, told := launch(t, "serve")
	l.Env = append(l.Env, "REGION=eu", "TZ=Europe/Vienna")
	l.PassEnv = []string{"PASSED_TOKEN"}
	s := session(t, l)
	got := strings.Split(call(t, s, "environment", nil), "\n")
	slices.Sort(got)
	want := []string{
		"HOME=/tmp", "LANG=C.UTF-8", mode + "=serve", "PASSED_TOKEN=hunter2", "PATH=/usr/local/bin:/usr/bin:/bin",
		"REGION=eu", "TMPDIR=/tmp", "TZ=Europe/Vienna",
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if given := told.of(stdio.Given); len(given) != 1 || given[0].Detail != "PASSED_TOKEN" {
		t.Errorf("events %v", told.list)
	}
	if args := call(t, s, "arguments", nil); args != stdio.AppDir+"/"+filepath.Base(l.Command[0]) {
		t.Errorf("arguments %q", args)
	}
}

func TestVariablesThatInjectCodeAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "GCONV_PATH", "GLIBC_TUNABLES", "NODE_OPTIONS", "NODE_PATH", "node_options",
		"PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "BASH_ENV", "ENV", "BASH_FUNC_ls", "PERL5OPT", "PERL5LIB", "RUBYOPT", "RUBYLIB", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS",
		"DOTNET_STARTUP_HOOKS", "LUA_INIT_5_4", "GIT_SSH_COMMAND", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED", "OPENSSL_CONF", "HTTPS_PROXY", "https_proxy", "RES_OPTIONS", "npm_config_registry",
		"PYTHONSAFEPATH", "NODE_COMPILE_CACHE", "AWKPATH", "AWKLIBPATH", "GUILE_LOAD_PATH", "TCLLIBPATH", "MONO_PATH", "PLTCOLLECTS", "CAML_LD_LIBRARY_PATH",
	} {
		l, backend, _ := launch(t, "serve")
		l.Env = append(l.Env, name+"=hunter2")
		_, err := l.Connect(t.Context())
		if err == nil || backend.started != 0 || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "UnsafeEnv") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	l, backend, _ := launch(t, "serve")
	l.Env, l.UnsafeEnv = append(l.Env, "NODE_OPTIONS=--no-warnings"), []string{"NODE_OPTIONS"}
	session(t, l)
	if !slices.Contains(backend.last.Env, "NODE_OPTIONS=--no-warnings") {
		t.Errorf("%q", backend.last.Env)
	}
}

func TestVariablesThatAreNone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env, pass []string
		want      string
	}{
		"no value":            {[]string{"ghp_hunter2"}, nil, `without "="`},
		"no name":             {[]string{"=hunter2"}, nil, "no name of a variable"},
		"a bad name":          {[]string{"hunter2-x=hunter2"}, nil, "no name of a variable"},
		"a digit first":       {[]string{"1hunter2=x"}, nil, "no name of a variable"},
		"a zero byte":         {[]string{"X=hunter2\x00LD_PRELOAD=x"}, nil, "zero byte"},
		"twice":               {[]string{"X=hunter2", "X=hunter2"}, nil, "X is given twice"},
		"not set on the host": {nil, []string{"MCPSEC_SURELY_NOT_SET"}, "is not set"},
		"too many":            {many(300), nil, "more than 256"},
		"too large":           {[]string{"X=" + strings.Repeat("x", 1<<18)}, nil, "131072 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, backend, _ := launch(t, "serve")
			l.Env, l.PassEnv = test.env, test.pass
			refused(t, l, backend, test.want)
			l, _, _ = launch(t, "serve")
			l.Env, l.PassEnv = test.env, test.pass
			if _, err := l.Connect(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v", err)
			}
		})
	}
}

func many(n int) (env []string) {
	for i := range n {
		env = append(env, "X"+strings.Repeat("X", i%100)+string(rune('A'+i/100))+"=1")
	}
	return env
}
