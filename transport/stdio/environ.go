package stdio

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Bounds of an environment.
const (
	maxVariables   = 256
	maxEnvironment = 128 << 10 // bytes
)

// basis is the environment of a server that is given nothing. HOME and TMPDIR are its
// private folder.
var basis = []string{
	"PATH=/usr/local/bin:/usr/bin:/bin",
	"HOME=/tmp",
	"TMPDIR=/tmp",
	"LANG=C.UTF-8",
	"TZ=UTC",
}

// injecting are names of variables that make a loader or a runtime execute or load
// something else than what was verified, or trust somebody else. Those that end in * are
// prefixes. Case does not matter: some runtimes do not care about it either.
var injecting = []string{
	"LD_*", "DYLD_*", "GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH", "MALLOC_*", "HOSTALIASES", "RESOLV_*",
	"NODE_OPTIONS", "NODE_PATH", "NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED", "NODE_REPL_EXTERNAL_MODULE", "NODE_COMPILE_CACHE", "NPM_CONFIG_*", "BUN_*", "DENO_*",
	"PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PYTHONINSPECT", "PYTHONUSERBASE", "PYTHONBREAKPOINT", "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR", "PYTHONPYCACHEPREFIX", "PYTHONWARNINGS", "PYTHONCASEOK", "PYTHONSAFEPATH",
	"BASH_ENV", "BASH_FUNC_*", "ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "IFS", "ZDOTDIR", "CDPATH",
	"PERL5OPT", "PERL5LIB", "PERLLIB", "PERL5DB", "RUBYOPT", "RUBYLIB", "GEM_HOME", "GEM_PATH", "BUNDLE_GEMFILE", "LUA_INIT*", "LUA_PATH*", "LUA_CPATH*",
	"PHPRC", "PHP_INI_SCAN_DIR", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH",
	"DOTNET_STARTUP_HOOKS", "DOTNET_ADDITIONAL_DEPS", "DOTNET_ROOT*", "CORECLR_*", "COR_*", "COMPLUS_*",
	"GODEBUG", "GOCOVERDIR", "ERL_*", "ELIXIR_*", "R_PROFILE*", "R_ENVIRON*", "JULIA_*",
	"AWKPATH", "AWKLIBPATH", "GUILE_*", "TCLLIBPATH", "MONO_*", "PLT*", "OCAML*", "CAML_*",
	"OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES", "SSLKEYLOGFILE", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
	"GIT_SSH*", "GIT_EXEC_PATH", "GIT_CONFIG*", "GIT_PROXY_COMMAND", "GIT_ASKPASS", "EDITOR", "VISUAL", "PAGER", "BROWSER", "SSH_AUTH_SOCK", "DOCKER_HOST", "DBUS_SESSION_BUS_ADDRESS",
}

// routing are names that say how the network is reached. With egress the launcher sets
// them, without there is no network.
var routing = []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "FTP_PROXY", "NODE_USE_ENV_PROXY", "RES_OPTIONS"}

// environment builds the server's environment from nothing: the basis, what the launcher
// adds for the network, and what the caller gives by name. Errors hold no values.
func (l *Launch) environment(network []string) ([]string, error) {
	vars := make(map[string]string)
	given := slices.Clone(l.Env)
	for _, name := range l.PassEnv {
		value, ok := os.LookupEnv(name) //nolint:forbidigo // the caller asks for this variable by its name
		if !ok {
			return nil, fmt.Errorf("stdio: environment: PassEnv names %s, which is not set: set it, or leave it out", quoteName(name))
		}
		given = append(given, name+"="+value)
	}
	for _, variable := range given {
		name, value, err := l.variable(variable)
		if err != nil {
			return nil, fmt.Errorf("stdio: environment: %w", err)
		}
		if _, twice := vars[name]; twice {
			return nil, fmt.Errorf("stdio: environment: %s is given twice: name it in either Env or PassEnv", name)
		}
		vars[name] = value
	}
	for _, variable := range slices.Concat(basis, network) {
		name, value, _ := strings.Cut(variable, "=")
		if _, own := vars[name]; !own {
			vars[name] = value
		}
	}
	env, size := make([]string, 0, len(vars)), 0
	for name, value := range vars {
		size += len(name) + len(value) + 2
		env = append(env, name+"="+value)
	}
	if len(env) > maxVariables || size > maxEnvironment {
		return nil, fmt.Errorf("stdio: environment: more than %d variables or %d bytes: give large values in a file of Profile.Read", maxVariables, maxEnvironment)
	}
	slices.Sort(env)
	return env, nil
}

// variable takes one apart that the caller gives.
func (l *Launch) variable(text string) (name, value string, err error) {
	name, value, ok := strings.Cut(text, "=")
	switch {
	case !ok:
		return "", "", errors.New("a variable without \"=\": write NAME=value in Env, or the name alone in PassEnv")
	case !isName(name):
		return "", "", fmt.Errorf("%s is no name of a variable: letters, digits and _ only", quoteName(name))
	case strings.ContainsRune(value, 0):
		return "", "", fmt.Errorf("the value of %s holds a zero byte", name)
	case slices.Contains(l.UnsafeEnv, name):
		return name, value, nil
	case matches(injecting, name):
		return "", "", fmt.Errorf("%s changes what the server loads, executes or trusts: leave it out, or name it in UnsafeEnv", name)
	case matches(routing, name):
		return "", "", fmt.Errorf("%s is the launcher's to set: list hosts in Profile.Egress, or name it in UnsafeEnv", name)
	}
	return name, value, nil
}

func isName(name string) bool {
	if name == "" || len(name) > 128 || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return strings.IndexFunc(name, func(c rune) bool {
		return c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9')
	}) < 0
}

// quoteName is for what may be no name, and may be a value that was put in its place.
func quoteName(name string) string {
	if isName(name) {
		return name
	}
	return "an entry"
}

func matches(list []string, name string) bool {
	name = strings.ToUpper(name)
	return slices.ContainsFunc(list, func(pattern string) bool {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return name == pattern
	})
}

// secretive are parts of the names of variables that hold credentials.
var secretive = []string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "APIKEY", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY", "AUTH", "COOKIE", "SESSION_KEY", "DSN", "CONNECTION_STRING"}

// credentials are the names in an environment that look like credentials, without values.
func credentials(env []string) (names []string) {
	for _, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		if upper := strings.ToUpper(name); slices.ContainsFunc(secretive, func(part string) bool { return strings.Contains(upper, part) }) {
			names = append(names, name)
		}
	}
	return names
}
