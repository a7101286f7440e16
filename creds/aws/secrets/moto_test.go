package secrets

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
	"github.com/mcpsec/mcpsec-go/internal/test/oracle"
)

// motoPatience bounds the wait for a server written in Python on a busy machine.
const motoPatience = 2 * time.Minute

// moto starts a server that others wrote, and returns the configuration of a client.
func moto(t *testing.T) awssdk.Config {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("reason: moto_server is not installed: pip install 'moto[server]'")
	}
	port := oracle.Port(t)
	base := "http://127.0.0.1:" + port

	var log strings.Builder
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", port)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.WaitDelay = time.Minute
	must(t, cmd.Start())
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(stop)

	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), motoPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/moto-api/data.json", http.NoBody)
		must(t, err)
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			stop()
			t.Fatalf("moto_server does not answer: %s", log.String())
		}
	}
	return awssdk.Config{
		Region: fakeaws.Region, BaseEndpoint: &base, HTTPClient: client,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "an example", ""),
	}
}

func TestTheSameAgainstMoto(t *testing.T) {
	t.Parallel()
	config := moto(t)
	n := 0
	for what, test := range contract {
		for store, b := range benches(config) {
			n++
			name := fmt.Sprintf("prod/db%d", n)
			t.Run(store+": "+what, func(t *testing.T) { // not parallel: moto ends with the test
				must(t, b.admin.create(t.Context(), name, canary+" 1"))
				test(t, b, name)
			})
		}
	}
}
