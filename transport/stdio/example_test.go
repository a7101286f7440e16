package stdio_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/stdio"
	"github.com/mcpsec/mcpsec-go/transport/stdio/sandbox"
)

// A server of somebody else's with a folder and a host of its own.
func ExampleLaunch() {
	launch := &stdio.Launch{
		Command: []string{"/usr/bin/node", "node_modules/weather-mcp/dist/index.js"},
		Artifact: stdio.Tree{
			Dir:         "/srv/weather", // npm ci --ignore-scripts
			Sum:         "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
			Interpreter: stdio.System{},
		},
		Profile: sandbox.Profile{System: true, Write: []string{"/var/lib/weather"}, Egress: []string{"api.weather.gov"}},
		PassEnv: []string{"WEATHER_API_KEY"},
		Events:  func(stdio.Event) {},
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "host", Version: "1"}, nil)
	session, err := client.Connect(context.Background(), launch, nil)
	if err != nil {
		fmt.Println(err) // nothing runs
		return
	}
	defer session.Close()
	fmt.Println(launch.Report().Tier)
	// Output: stdio: environment: PassEnv names WEATHER_API_KEY, which is not set: set it, or leave it out
}

// What a registry has at the time of the start cannot have been reviewed.
func ExampleLaunch_fetched() {
	launch := &stdio.Launch{
		Command:  []string{"npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv"},
		Artifact: stdio.System{},
		Events:   func(e stdio.Event) { fmt.Println(e.Kind, e.Server) },
	}
	_, err := launch.Connect(context.Background())
	fmt.Println(errors.Is(err, stdio.ErrArtifact))
	// Output:
	// refused npx
	// true
}

func ExampleLogTo() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	stdio.LogTo(log)(stdio.Event{Kind: stdio.Degraded, Server: "weather-mcp", PID: 4711, Control: sandbox.Cgroup, Detail: "no cgroup can be written"})
	// Output: level=WARN msg="mcp server degraded" server=weather-mcp pid=4711 control=cgroup detail="no cgroup can be written"
}

func ExampleBundle() {
	signed := stdio.Bundle("weather-mcp.sigstore.json", "https://slsa.dev/provenance/v1", nil) // or envelope.Keys(key), or sigstore.Keyless(...)
	fmt.Println(signed.Verify(context.Background(), "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "weather-mcp"))
	// Output: stdio: Bundle needs a predicate type and a verifier
}

func ExampleConfine() {
	guard, _ := mcpsec.New()
	server := mcp.NewServer(&mcp.Implementation{Name: "notes"}, nil)
	err := stdio.Serve(context.Background(), guard, server, stdio.Confine(sandbox.Folder("/srv/notes")), stdio.MaxLine(1<<20))
	fmt.Println(err)
	// Output: stdio: mcpsec: the guard is not installed on this server
}

func ExamplePeer() {
	fmt.Println(stdio.Peer().Process == fmt.Sprintf("uid:%d", os.Getuid()))
	// Output: true
}

func ExampleServe() {
	guard, _ := mcpsec.New()
	server := mcp.NewServer(&mcp.Implementation{Name: "notes"}, nil)
	fmt.Println(stdio.Serve(context.Background(), guard, server))
	// Output: stdio: mcpsec: the guard is not installed on this server
}
