package telemetry_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox/telemetry"
)

var profile = sandbox.Profile{System: true, Read: []string{"/srv/data"}, Write: []string{"/srv/out"}, Exec: []string{"/opt/tools"}, Egress: []string{"api.example.com"}}

func TestPoliciesHoldTheProfile(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(string, string, sandbox.Profile) ([]byte, error){"tetragon": telemetry.Tetragon, "falco": telemetry.Falco} {
		raw, err := write("weather", "/opt/weather", profile)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(raw) {
			t.Errorf("%s is no JSON, so no YAML either: %s", name, raw)
		}
		for _, want := range []string{"/opt/weather", "/srv/data", "/srv/out", "/opt/tools", "/usr", "198.18.0.0/15"} {
			if !strings.Contains(string(raw), want) {
				t.Errorf("%s lacks %s", name, want)
			}
		}
	}
}

func TestPoliciesRefuse(t *testing.T) {
	t.Parallel()
	for fault, test := range map[string]struct {
		name, program string
		profile       sandbox.Profile
	}{
		"name with a line feed":      {"a\nb", "/x", sandbox.Profile{}},
		"no name":                    {"", "/x", sandbox.Profile{}},
		"relative program":           {"a", "x", sandbox.Profile{}},
		"condition inside of a path": {"a", "/x", sandbox.Profile{Read: []string{`/a") or (evt.type exists`}}},
	} {
		for _, write := range []func(string, string, sandbox.Profile) ([]byte, error){telemetry.Tetragon, telemetry.Falco} {
			if raw, err := write(test.name, test.program, test.profile); err == nil {
				t.Errorf("%s: %s", fault, raw)
			}
		}
	}
}

func ExampleTetragon() {
	raw, err := telemetry.Tetragon("weather", "/opt/weather", sandbox.Profile{Read: []string{"/srv/data"}})
	var policy struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec struct {
			Kprobes []struct {
				Call string `json:"call"`
			} `json:"kprobes"`
		} `json:"spec"`
	}
	fmt.Println(err, json.Unmarshal(raw, &policy), policy)
	// Output: <nil> <nil> {TracingPolicy {weather} {[{security_file_open} {security_bprm_check} {tcp_connect}]}}
}

func ExampleFalco() {
	raw, err := telemetry.Falco("weather", "/opt/weather", sandbox.Profile{Read: []string{"/srv/data"}})
	var rules []struct {
		Rule string `json:"rule"`
	}
	fmt.Println(err, json.Unmarshal(raw, &rules))
	for _, r := range rules {
		fmt.Println(r.Rule)
	}
	// Output:
	// <nil> <nil>
	// weather opens a file beyond its profile
	// weather writes a file beyond its profile
	// weather executes a program beyond its profile
	// weather connects past egress by name
}
