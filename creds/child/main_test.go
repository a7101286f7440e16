package child

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// The children of these tests are this program, told by one variable what to do.
const helperVariable = "CHILD_TEST_HELPER"

func TestMain(m *testing.M) {
	if what := os.Getenv(helperVariable); what != "" {
		if err := helpers[what](bufio.NewReader(os.Stdin)); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// canary is in every secret of these tests, and nowhere else.
const canary = "CANARYcorrecthorse"

func digest(secret []byte) string { return fmt.Sprintf("%x", sha256.Sum256(secret)) }

// helpers are what a child does. Each says what it is about on standard output, and
// waits for a line on standard input where it has to.
var helpers = map[string]func(in *bufio.Reader) error{
	"receive": func(in *bufio.Reader) error {
		fd, err := strconv.Atoi(os.Getenv("CREDENTIAL_FD"))
		if err != nil {
			return err
		}
		m, err := Receive(uintptr(fd))
		if err != nil {
			return err
		}
		fmt.Println(digest(m.Secret.Reveal()), m.Version, m.Expires.Format(time.RFC3339), m.Public["region"])
		_, _ = in.ReadString('\n')
		return nil
	},
	"raw": func(*bufio.Reader) error {
		text, err := os.ReadFile(os.Args[1])
		fmt.Println(digest(text))
		return err
	},
	"environ": func(*bufio.Reader) error {
		fmt.Println(strings.Join(os.Environ(), "\n"))
		return nil
	},
	"sdk": func(in *bufio.Reader) error {
		c, err := config.LoadDefaultConfig(context.Background())
		if err != nil {
			return err
		}
		for range 3 {
			keys, err := c.Credentials.Retrieve(context.Background())
			if err != nil {
				return err
			}
			fmt.Println(keys.AccessKeyID, digest([]byte(keys.SecretAccessKey)), digest([]byte(keys.SessionToken)), keys.Source, c.Region, keys.CanExpire)
			if _, err = in.ReadString('\n'); err != nil {
				return nil
			}
			c.Credentials.(*awssdk.CredentialsCache).Invalidate()
		}
		return nil
	},
	"parent": func(in *bufio.Reader) error { // of an SDK, in the same group
		_ = os.Setenv(helperVariable, "sdk")
		cmd := exec.Command(os.Args[0])
		cmd.Stdin, cmd.Stdout = in, os.Stdout
		fd, _ := strconv.Atoi(strings.TrimPrefix(os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), "/proc/self/fd/"))
		cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), "token")} // as a shell would
		return cmd.Run()
	},
	"requests": func(in *bufio.Reader) error { // lines of JSON, each with a request
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return nil
			}
			var want struct {
				Method string `json:"method"`
				Host   string `json:"host"`
				Path   string `json:"path"`
				Token  string `json:"token"`
			}
			if err := json.Unmarshal([]byte(line), &want); err != nil {
				return err
			}
			token, err := os.ReadFile(os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))
			if err != nil {
				return err
			}
			address := strings.TrimSuffix(os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"), credentialsPath)
			req, err := http.NewRequest(want.Method, address+want.Path, http.NoBody)
			if err != nil {
				return err
			}
			if req.Host = want.Host; want.Token == "" {
				req.Header.Set("Authorization", string(token))
			} else if want.Token != "none" {
				req.Header.Set("Authorization", want.Token)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			fmt.Println(resp.StatusCode, digest(body), len(body))
		}
	},
	"forever": func(in *bufio.Reader) error {
		fmt.Println("ready")
		_, _ = in.ReadString('\n')
		return nil
	},
	"leave": func(*bufio.Reader) error { // a descendant with the pipe
		_ = os.Setenv(helperVariable, "forever")
		cmd := exec.Command(os.Args[0])
		cmd.Stdin, cmd.ExtraFiles = os.Stdin, []*os.File{os.NewFile(3, "pipe")}
		return cmd.Start()
	},
	"family": func(*bufio.Reader) error { // a child of the child that holds its output
		_ = os.Setenv(helperVariable, "forever")
		cmd := exec.Command(os.Args[0])
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout // it does not end with its parent
		return cmd.Run()
	},
}

// command returns a child of this program.
func command(t *testing.T, what string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = []string{helperVariable + "=" + what}
	return cmd
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inCall runs f as the handler of a tool to which the grants are bound.
func inCall(ctx context.Context, t *testing.T, f func(ctx context.Context) error, grants ...creds.Grant) error {
	t.Helper()
	in := creds.New(creds.ForTool("tool", grants...))
	must(t, in.Check())
	defer func() { must(t, in.Close()) }() //nolint:contextcheck // Close has none
	_, err := in.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		return nil, f(ctx)
	})(ctx, &mcpsec.Call{ID: "call", Method: "tools/call", Name: "tool", Tool: &mcpsec.Tool{Name: "tool"}})
	return err
}

// secret is a credential that is one secret.
func secret(name, text string) creds.Grant {
	return creds.Named(name, creds.ProviderFunc(func(context.Context, creds.Spec, creds.Request) (creds.Material, error) {
		return creds.Material{
			Secret: creds.NewValue([]byte(text)), Version: "v7", Expires: time.Now().Add(time.Hour), Public: map[string]string{"region": "eu-central-1"},
		}, nil
	}))
}

// roles issues credentials of AWS, others each time.
type roles struct {
	mu     sync.Mutex
	issued int
	broken error
}

func (r *roles) Issue(context.Context, creds.Spec, creds.Request) (creds.Material, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return creds.Material{}, r.broken
	}
	r.issued++
	end := time.Now().Add(15 * time.Minute)
	text := fmt.Sprintf(`{"Version":1,"AccessKeyId":%q,"SecretAccessKey":%q,"SessionToken":%q,"Expiration":%q}`,
		r.id(r.issued), r.key(r.issued), r.token(r.issued), end.UTC().Format(time.RFC3339))
	return creds.Material{Secret: creds.NewValue([]byte(text)), Version: strconv.Itoa(r.issued), Expires: end, Public: map[string]string{"region": "eu-central-1"}}, nil
}

func (r *roles) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = err
}

func (*roles) id(n int) string    { return fmt.Sprintf("ASIAEXAMPLE%05d", n) }
func (*roles) key(n int) string   { return fmt.Sprintf("%s/key+%d", canary, n) }
func (*roles) token(n int) string { return fmt.Sprintf("%s/token+%d", canary, n) }

// line is what the SDK says of the nth credential.
func (r *roles) line(n int) string {
	return fmt.Sprintf("%s %s %s CredentialsEndpointProvider eu-central-1 true\n", r.id(n), digest([]byte(r.key(n))), digest([]byte(r.token(n))))
}

var errDown = errors.New("down")

// A dialogue is a child that is spoken with line by line.
type dialogue struct {
	in   io.WriteCloser
	out  *bufio.Reader
	done chan error
}

// talk runs a child whose standard input and output the test holds.
func talk(ctx context.Context, t *testing.T, cmd *exec.Cmd, deliveries ...Delivery) *dialogue {
	t.Helper()
	fromChild, w, err := os.Pipe()
	must(t, err)
	r, toChild, err := os.Pipe()
	must(t, err)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, w, os.Stderr
	d := &dialogue{toChild, bufio.NewReader(fromChild), make(chan error, 1)}
	t.Cleanup(func() { _, _ = toChild.Close(), fromChild.Close() })
	go func() {
		err := Run(ctx, cmd, deliveries...)
		_, _ = r.Close(), w.Close()
		d.done <- err
	}()
	return d
}

func (d *dialogue) read(t *testing.T) string {
	t.Helper()
	line, err := d.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the child said %q, then %v; Run: %v", line, err, <-d.done)
	}
	return line
}

func (d *dialogue) say(t *testing.T, line string) {
	t.Helper()
	_, err := io.WriteString(d.in, line+"\n")
	must(t, err)
}

// end lets the child end, and returns what Run did.
func (d *dialogue) end() error {
	_ = d.in.Close()
	return <-d.done
}
