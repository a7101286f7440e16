package main

import (
	"context"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/aws"
	"github.com/mcpsec/mcpsec-go/creds/child"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

type ask struct {
	How        string `json:"how"`
	Credential string `json:"credential"`
	Endpoint   string `json:"endpoint,omitempty"` // of STS
}

type tool struct{ log *slog.Logger }

// use has a credential and does with it what is asked.
func (t tool) use(ctx context.Context, _ *mcp.CallToolRequest, a ask) (*mcp.CallToolResult, any, error) {
	text, err := t.have(ctx, a)
	if err != nil {
		t.log.Error("the call failed", "how", a.How, "credential", a.Credential, "error", err)
		return nil, nil, err
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
}

func (t tool) have(ctx context.Context, a ask) (string, error) {
	h, err := creds.From(ctx)
	if err != nil {
		return "", err
	}
	m, err := h.Get(ctx, a.Credential)
	if err != nil {
		t.log.Error("no credential", "all", fmt.Sprintf("%+v %#v", err, err), "cause", errors.Unwrap(err))
		return "", err
	}
	secret := m.Secret.Reveal()
	defer clear(secret)
	switch a.How {
	case "quiet":
		return fmt.Sprintf("had %d bytes", len(secret)), nil
	case "print":
		t.print(m, h)
		return "printed", nil
	case "panic": // a mistake of the handler
		panic(m)
	case "panic with the secret": // a worse one, which the guard contains and the record blanks
		panic("cannot use " + string(secret))
	case "denial":
		return "", (&mcpsec.Denial{Code: "test.no", Reason: "no"}).Because(errors.New("cannot use " + string(secret)))
	case "report":
		return "", h.Report(m.Secret, errors.New("the service does not like "+string(secret)))
	case "aws":
		return t.callAWS(ctx, a)
	case "child":
		return "", t.startChild(ctx, a.Credential)
	case "hold":
		t.log.Info("holding")
		<-ctx.Done()
		return string(secret[:0]), ctx.Err()
	case "crash":
		go func() { panic(fmt.Sprintf("%+v %#v", m, &m)) }() // nobody can recover it
		<-ctx.Done()
		return string(secret[:0]), ctx.Err()
	case "leak": // what the scanner must find
		t.log.Info("leak", "credential", a.Credential, "secret", base64.StdEncoding.EncodeToString(append([]byte("x"), secret...)))
		return "leaked", nil
	}
	return "", errors.New("no such way")
}

// print does everything with a credential that prints what it is given.
func (t tool) print(m creds.Material, h *creds.Handle) {
	nested := struct {
		hidden  creds.Value
		pointer *creds.Material
		list    []creds.Material
	}{m.Secret, &m, []creds.Material{m}}
	plain := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	old := log.New(os.Stderr, "", log.LstdFlags|log.Lshortfile)
	for name, v := range map[string]any{
		"material": m, "pointer": &m, "secret": m.Secret, "pointer to the secret": &m.Secret,
		"nested": nested, "handle": h, "error": fmt.Errorf("wrapped %v %+v", m.Secret, m),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "% X", "%d", "%p", "%t", "%c", "%U", "%b"} {
			fmt.Fprintf(os.Stderr, name+" "+verb+"\n", v)
		}
		fmt.Fprintln(os.Stderr, name, v)
		t.log.Debug(name, "value", v)
		plain.Debug(name, "value", v)
		old.Println(name, v)
		text, err := json.Marshal(v)
		fmt.Fprintln(os.Stderr, name, string(text), err)
		fmt.Fprintln(os.Stderr, name, gob.NewEncoder(os.Stderr).Encode(v))
	}
}

// callAWS makes a request as the SDK does, and one that fails.
func (t tool) callAWS(ctx context.Context, a ask) (string, error) {
	conf, err := aws.ConfigFor(ctx, a.Credential)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "%v %+v\n", conf.Credentials, conf.HTTPClient)
	client := sts.NewFromConfig(conf, func(o *sts.Options) { o.BaseEndpoint = &a.Endpoint })
	who, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	role := "arn:aws:iam::123456789012:role/nobody"
	_, err = client.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: &role})
	t.log.Debug("refused, as it should be", "error", err)
	return *who.Arn, nil
}

// startChild starts this program again, with the credential in a pipe.
func (tool) startChild(ctx context.Context, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "-child", "{fd:"+name+"}") //nolint:gosec,noctx // this program; Run ends it with ctx
	cmd.Stderr = os.Stderr
	return child.Run(ctx, cmd, child.Pipe(name))
}

// beChild reads what is on a descriptor, and waits to be killed.
func beChild(descriptor string) error {
	if descriptor == "" {
		return nil
	}
	fd, err := strconv.Atoi(descriptor)
	if err != nil {
		return err
	}
	m, err := child.Receive(uintptr(fd))
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "the child has %d bytes %v\n", len(m.Secret.Reveal()), m)
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt)
	<-end
	return nil
}
