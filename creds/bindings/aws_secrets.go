package bindings

import (
	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/aws"
	"github.com/mcpsec/mcpsec-go/creds/aws/secrets"
)

// kept is what secrets and parameters have in common.
type kept struct {
	Base     string   `json:"base"`
	Region   string   `json:"region,omitempty"`
	Endpoint string   `json:"endpoint,omitempty"`
	Accounts []string `json:"accounts,omitempty"`
	Field    string   `json:"field,omitempty"`
	Poll     string   `json:"poll,omitempty"`
}

type awsSecret struct {
	ID string `json:"id"`
	kept
}

func (s *awsSecret) grant(d *decoder, at place, name string) creds.Grant {
	d.required(at, "id", s.ID)
	return creds.Named(name, secrets.Manager(s.ID, s.options(d, at)...))
}

type awsParameter struct {
	Name string `json:"name"`
	kept
}

func (p *awsParameter) grant(d *decoder, at place, name string) creds.Grant {
	d.required(at, "name", p.Name)
	return creds.Named(name, secrets.Parameter(p.Name, p.options(d, at)...))
}

func (k *kept) options(d *decoder, at place) []secrets.Option {
	var opts []secrets.Option
	if b := baseOf[*aws.Base](d, at, k.Base, aBaseOfAWS); b != nil {
		opts = append(opts, secrets.Credentials(b))
	}
	if k.Region != "" {
		opts = append(opts, secrets.Region(k.Region))
	}
	if k.Endpoint != "" {
		opts = append(opts, secrets.Endpoint(k.Endpoint))
	}
	if k.Accounts != nil {
		opts = append(opts, secrets.Accounts(k.Accounts...))
	}
	if k.Field != "" {
		opts = append(opts, secrets.Field(k.Field))
	}
	if t := d.duration(at.in("poll"), k.Poll); t != 0 {
		opts = append(opts, secrets.Poll(t))
	}
	return opts
}
