package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// A host is all that checks may look at.
type host struct {
	goos     string
	platform string // Go version, operating system and architecture
	now      time.Time
	uid      int      // effective user id; -1 where there is none
	environ  []string // NAME=value
	files    fs.FS    // the root directory; only proc and sys are read
	audit    string   // path of the audit folder; empty if none was named

	// What a process that confined itself and ended saw, or why there was none.
	sandbox  *sandbox.Report
	refusal  error
	exposure sandbox.Exposure
}

func thisHost(ctx context.Context) host {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	report, err := sandbox.Probe(ctx)
	return host{
		sandbox: report, refusal: err, exposure: sandbox.SpeculationState(),
		goos:     runtime.GOOS,
		platform: fmt.Sprintf("%s on %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH),
		now:      time.Now(),
		uid:      os.Geteuid(),
		environ:  os.Environ(),
		files:    os.DirFS("/"),
	}
}

// probeTimeout bounds the start of the process that confines itself; it takes milliseconds.
const probeTimeout = 10 * time.Second

// A check looks at one thing and changes nothing.
type check struct {
	name string
	run  func(host) finding
}

// checks are all checks. Their names and order are part of the JSON form.
var checks = append([]check{
	{"runtime", checkRuntime},
	{"clock", checkClock},
	{"mcpgodebug", checkMCPGODEBUG},
	{"user", checkUser},
	{"environment", checkEnvironment},
	{"audit-folder", checkAuditFolder},
	{"audit-space", checkAuditSpace},
	{"kernel", checkKernel},
	{"speculation", checkSpeculation},
	{"sandbox", checkSandbox},
}, sandboxChecks()...)

func ok(found string) finding { return finding{Status: statusOK, Found: found} }
func warn(found, remedy string) finding {
	return finding{Status: statusWarn, Found: found, Remedy: remedy}
}
func fail(found, remedy string) finding {
	return finding{Status: statusFail, Found: found, Remedy: remedy}
}
func skip(found, remedy string) finding {
	return finding{Status: statusSkip, Found: found, Remedy: remedy}
}

func checkRuntime(h host) finding { return ok(h.platform) }

// firstYear is the year this check was written: no clock that is right is behind it.
const firstYear = 2026

// A clock that is wrong accepts expired tokens, certificates and credentials, or
// refuses good ones, and dates the record falsely.
func checkClock(h host) finding {
	now := h.now.UTC()
	found := now.Format(time.RFC3339)
	if now.Year() < firstYear {
		return fail(found+" lies in the past", "Set the clock, and keep it right with NTP.")
	}
	return ok(found)
}

// checkMCPGODEBUG mirrors the refusal of Guard.Install. The value is not printed:
// the rule that values stay out of the report is easier to keep without exceptions.
func checkMCPGODEBUG(h host) finding {
	for _, v := range h.environ {
		if name, value := split(v); name == "MCPGODEBUG" && value != "" {
			return fail("MCPGODEBUG is set and changes what the SDK checks", "Unset MCPGODEBUG; while it is set, Install refuses to serve.")
		}
	}
	return ok("MCPGODEBUG is not set")
}

func checkUser(h host) finding {
	switch h.uid {
	case -1:
		return skip(h.goos+" has no user ids", "Make sure that the server's account is not an administrator's.")
	case 0:
		return warn("runs as root", "Run the server as a user of its own: root passes the permission checks others rely on.")
	}
	return ok(fmt.Sprintf("runs as uid %d", h.uid))
}
