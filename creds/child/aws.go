package child

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// AWS lets the child fetch the named credential as often as it likes while it runs, in
// the way of AWS for containers, which its SDKs and its command line know: from
// AWS_CONTAINER_CREDENTIALS_FULL_URI, with the token in
// AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE. The credential must be one of package
// creds/aws, and must end: an SDK asks again before it does.
//
// The child also gets AWS_REGION and AWS_DEFAULT_REGION, if the credential says a region
// and cmd.Env does not, and variables that keep the SDK from other credentials. A
// variable in cmd.Env that would lead it to others is refused.
func AWS(name string) Delivery { return endpoint{name} }

type endpoint struct{ name string }

// leading are variables that lead an SDK to credentials.
var leading = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
	"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
	"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_EC2_METADATA_DISABLED",
	"AWS_CREDENTIAL_FILE", "BOTO_CONFIG",
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
}

func (e endpoint) prepare(ctx context.Context, r *run) error {
	has := func(names ...string) string {
		for _, entry := range r.env {
			if name, _, _ := strings.Cut(entry, "="); slices.Contains(names, name) {
				return name
			}
		}
		return ""
	}
	if name := has(leading...); name != "" {
		return fmt.Errorf("child.Run: %s is in cmd.Env, or child.AWS is given twice: the child would have two credentials", name)
	}
	first, m, err := fetch(ctx, r.handle, e.name) // what is wrong is found before the child runs
	if err != nil {
		return err
	}
	r.keep([]byte(first.Secret))
	r.keep([]byte(first.Token))

	token := []byte(rand.Text() + rand.Text()) // 256 bits and more
	r.keep(token)
	path, err := r.tokenFile(token)
	if err != nil {
		return fmt.Errorf("child.Run: the token of the endpoint: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("child.Run: the endpoint: %w", err)
	}
	s := &server{handle: r.handle, name: e.name, token: token, listener: l}
	r.serve(ctx, s)
	r.env = append(r.env,
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://"+l.Addr().String()+credentialsPath,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="+path,
		// Some SDKs read the user's files first, found without HOME. The one for Python
		// still reads those of its predecessor too, in /etc as well.
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "BOTO_CONFIG="+os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
	)
	if region := m.Public["region"]; region != "" && has("AWS_REGION", "AWS_DEFAULT_REGION") == "" {
		r.env = append(r.env, "AWS_REGION="+region, "AWS_DEFAULT_REGION="+region)
	}
	return nil
}

// tokenFile returns the name under which the child, and nobody without a right to its
// descriptors, finds the token. It is read anew for each request.
func (r *run) tokenFile(token []byte) (string, error) {
	if f, err := memoryFile(token); err == nil {
		path := "/proc/self/fd/" + strconv.Itoa(r.inherit(f))
		return path, r.give(f)
	} else if !errors.Is(err, errors.ErrUnsupported) {
		return "", err
	}
	return r.diskFile(token)
}

// diskFile is for systems where opening a descriptor's name does not begin at the start.
func (r *run) diskFile(token []byte) (string, error) {
	f, err := os.CreateTemp("", "mcpsec-token-*") // with mode 0600
	if err != nil {
		return "", err
	}
	r.undo = append(r.undo, func() { _ = os.Remove(f.Name()) })
	_, err = f.Write(token)
	return f.Name(), errors.Join(err, r.give(f), f.Close())
}

// give makes a file that of the user as whom the child runs, if it is another.
func (r *run) give(f *os.File) error {
	if r.user == nil {
		return nil
	}
	return f.Chown(*r.user, -1)
}

// keys are what package creds/aws issues, in the form of a credential process.
type keys struct {
	Version int       `json:"Version"`
	ID      string    `json:"AccessKeyId"`
	Secret  string    `json:"SecretAccessKey"`
	Token   string    `json:"SessionToken"`
	End     time.Time `json:"Expiration"`
}

// fetch returns the credential as it is now.
func fetch(ctx context.Context, h *creds.Handle, name string) (keys, creds.Material, error) {
	m, err := h.Get(ctx, name)
	if err != nil {
		return keys{}, m, err
	}
	text := m.Secret.Reveal()
	defer clear(text)
	var k keys
	if strictjson.Decode(text, 64<<10, &k) != nil || k.Version != 1 || k.ID == "" || k.Secret == "" {
		return keys{}, m, fmt.Errorf("child.AWS: credential %q is none of AWS: bind one of package creds/aws", name)
	}
	if k.End.IsZero() {
		k.End = m.Expires
	}
	if k.Token == "" || k.End.IsZero() {
		return keys{}, m, fmt.Errorf("child.AWS: credential %q does not end: bind a role to the tool, not a user's key", name)
	}
	return k, m, nil
}
