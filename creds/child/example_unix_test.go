//go:build unix

package child_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/child"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// call runs a handler as a guard does.
func call(handler func(ctx context.Context) error, grants ...creds.Grant) {
	in := creds.New(creds.ForTool("tool", grants...))
	defer in.Close()
	_, err := in.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) { return nil, handler(ctx) })(
		context.Background(), &mcpsec.Call{ID: "1", Method: "tools/call", Name: "tool", Tool: &mcpsec.Tool{Name: "tool"}})
	if err != nil {
		fmt.Println(err)
	}
}

// A program that reads a password from a descriptor.
func ExampleRaw() {
	call(func(ctx context.Context) error {
		cmd := exec.Command("wc", "-c")
		cmd.Args = append(cmd.Args, "/dev/fd/{fd:keystore}")
		cmd.Stdout = os.Stdout
		return child.Run(ctx, cmd, child.Raw("keystore"))
	}, creds.Named("keystore", creds.Static([]byte("correct horse"))))
	// Output: 13 /dev/fd/3
}

// What a child reads that knows of this package.
func ExamplePipe() {
	call(func(ctx context.Context) error {
		cmd := exec.Command("sh", "-c", `cat /dev/fd/"$DB_FD"`)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "DB_FD={fd:orders-db}"}
		cmd.Stdout = os.Stdout
		return child.Run(ctx, cmd, child.Pipe("orders-db"))
	}, creds.Named("orders-db", creds.Static([]byte("correct horse"))))
	// Output: {"name":"orders-db","version":"static","secret":"correct horse"}
}

// A child with an SDK of AWS finds its credentials by itself.
func ExampleAWS() {
	role := creds.ProviderFunc(func(context.Context, creds.Spec, creds.Request) (creds.Material, error) {
		end := time.Now().Add(15 * time.Minute).UTC()
		keys := fmt.Appendf(nil, `{"Version":1,"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"s3cret","SessionToken":"t0ken","Expiration":%q}`, end.Format(time.RFC3339))
		return creds.Material{Secret: creds.NewValue(keys), Expires: end, Public: map[string]string{"region": "eu-central-1"}}, nil
	})
	call(func(ctx context.Context) error {
		cmd := exec.Command("/bin/sh", "-c", `
			echo "$AWS_REGION"
			case "$AWS_CONTAINER_CREDENTIALS_FULL_URI" in http://127.0.0.1:*/credentials) echo an endpoint;; esac
			test -r "$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" && echo a token`)
		cmd.Stdout = os.Stdout
		return child.Run(ctx, cmd, child.AWS("aws"))
	}, creds.Named("aws", role))
	// Output:
	// eu-central-1
	// an endpoint
	// a token
}

// An argument list is no place for a secret.
func ExampleRun() {
	call(func(ctx context.Context) error {
		password, err := creds.Secret(ctx, "db")
		if err != nil {
			return err
		}
		cmd := exec.Command("psql", "password="+string(password.Reveal()), "fd={fd:db}")
		fmt.Println(child.Run(ctx, cmd, child.Raw("db")))
		return nil
	}, creds.Named("db", creds.Static([]byte("correct horse"))))
	// Output: child.Run: an argument has a credential, where every process of this user can read it: let the child read it from its descriptor
}

// The child's side of a pipe. Its number comes from where the parent put {fd:NAME}.
func ExampleReceive() {
	r, w, _ := os.Pipe()
	_, _ = w.WriteString(`{"name":"orders-db","version":"7","secret":"correct horse"}`)
	_ = w.Close()
	fd, _ := syscall.Dup(int(r.Fd())) // in a child: what cmd.Env says
	_ = r.Close()

	m, err := child.Receive(uintptr(fd))
	fmt.Println(m.Secret, m.Version, err)
	m.Secret.Close()
	// Output: [secret] 7 <nil>
}
