package sandbox

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
)

// ReadOnly is the profile of a server that reads below some paths and changes nothing: no
// file, no mode, no time of a file. It has no network and starts no programs.
func ReadOnly(paths ...string) Profile { return Profile{Read: absolute(paths)} }

// Folder is the profile of a server that reads and writes below one folder, without a
// network and without starting programs.
func Folder(dir string) Profile { return Profile{Write: absolute([]string{dir})} }

// Hosts is the profile of a server that talks to some hosts, "api.example.com:443" (443 if
// there is no port), and reads what a Go program needs for that: the configuration of the
// resolver, and certificates.
//
// For [Confine] the kernel knows ports and no names: see there.
func Hosts(hosts ...string) Profile {
	return Profile{Egress: slices.Clone(hosts), Read: networkPaths()}
}

// absolute makes paths absolute from the working directory. What cannot be made so is
// left for the profile's own check, which refuses it.
func absolute(paths []string) []string {
	all := make([]string, len(paths))
	for i, path := range paths {
		all[i] = path
		if abs, err := filepath.Abs(path); err == nil && path != "" {
			all[i] = abs
		}
	}
	return all
}

// portsOf are the TCP ports of hosts to be reached.
func portsOf(hosts []string) ([]uint16, error) {
	policy, err := egress.Parse(hosts...)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	return policy.Ports(), nil
}

func networkPaths() []string {
	var paths []string
	for _, path := range []string{
		"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services",
		"/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
	} {
		if at, err := filepath.EvalSymlinks(path); err == nil {
			paths = append(paths, at)
		}
	}
	return paths
}
