package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	// secretName matches names by which programs and clouds hand over secrets.
	secretName = regexp.MustCompile(`PASSWORD|PASSWD|PASSPHRASE|SECRET|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|` +
		`(^|_)(TOKEN|KEY|PWD|PASS|PAT|JWT|DSN|CREDENTIALS?|CONNECTION_STRING|DATABASE_URL)(_?[0-9]+)?$`)
	// pointerName matches names of variables that say where a secret is: what a
	// server should be given instead.
	pointerName = regexp.MustCompile(`_(FILE|PATH|DIR|ARN|URI)$|^(OLD)?PWD$|^GOOGLE_APPLICATION_CREDENTIALS$`)
)

// maxNames bounds how many names a finding lists.
const maxNames = 12

// split takes NAME=value apart. Windows has hidden names that begin with "=".
func split(variable string) (name, value string) {
	if variable == "" {
		return "", ""
	}
	i := strings.IndexByte(variable[1:], '=')
	if i < 0 {
		return variable, ""
	}
	return variable[:i+1], variable[i+2:]
}

// looksSecret judges a variable by its name alone.
func looksSecret(name string) bool {
	name = strings.ToUpper(name)
	return secretName.MatchString(name) && !pointerName.MatchString(name)
}

// checkEnvironment finds variables that look like secrets: every child inherits
// them, and on Linux every process of the same user reads them in /proc. Empty ones
// give nothing away.
func checkEnvironment(h host) finding {
	var names []string
	for _, v := range h.environ {
		if name, value := split(v); value != "" && looksSecret(name) {
			names = append(names, printable(name))
		}
	}
	if len(names) == 0 {
		return ok("no variable's name looks like a secret")
	}
	slices.Sort(names)
	names = slices.Compact(names)
	found := "children would see " + strings.Join(names[:min(len(names), maxNames)], ", ")
	if more := len(names) - maxNames; more > 0 {
		found += fmt.Sprintf(" and %d more", more)
	}
	return warn(found, "Start the server without them and give tools their credentials with creds, for example from files.")
}

// printable returns a name from outside so that it cannot steer a terminal or
// fill the screen.
func printable(name string) string {
	if q := fmt.Sprintf("%.*q", maxQuoted, name); q != strconv.Quote(name) || strings.ContainsFunc(name, awkward) {
		return q
	}
	return name
}

// awkward reports whether a character would be misread in a list of names.
func awkward(r rune) bool { return r <= ' ' || r == ',' || r == '"' || !strconv.IsPrint(r) }
