package fakeaws

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// ParameterStore is the part of Systems Manager that keeps parameters. It is safe
// for concurrent use.
type ParameterStore struct {
	mu          sync.Mutex
	parameters  map[string]*parameter
	keyDisabled bool
}

type parameter struct {
	kind   string
	values []string // of version 1, 2, ...
}

// NewParameterStore returns the service without any parameter.
func NewParameterStore() *ParameterStore {
	return &ParameterStore{parameters: make(map[string]*parameter)}
}

// DisableKey disables the KMS key of every SecureString, or enables it again.
func (p *ParameterStore) DisableKey(disabled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keyDisabled = disabled
}

// SigningName implements [Service].
func (*ParameterStore) SigningName() string { return "ssm" }

// Target implements [Service].
func (*ParameterStore) Target() string { return "AmazonSSM" }

// ssmInput has the members of all the operations that are here.
type ssmInput struct {
	Name           string `json:"Name"`
	Value          string `json:"Value"`
	Type           string `json:"Type"`
	Tier           string `json:"Tier"`
	Overwrite      bool   `json:"Overwrite"`
	WithDecryption bool   `json:"WithDecryption"`
}

var ssmName = regexp.MustCompile(`^[a-zA-Z0-9_./-]+$`)

// Serve implements [Service].
func (p *ParameterStore) Serve(r *Request) (any, error) {
	var in ssmInput
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	prefix := fmt.Sprintf("arn:aws:ssm:%s:%s:parameter", Region, Account)
	name, selector, _ := strings.Cut(strings.TrimPrefix(in.Name, prefix), ":")
	if len(name) > 1011 || !ssmName.MatchString(name) {
		return nil, Errorf("ValidationException", "Parameter name: can't be prefixed with \"ssm\" (case-insensitive) and may have only a-zA-Z0-9_.-/.")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.parameters[name]
	if found == nil && r.Operation != "PutParameter" {
		return nil, Errorf("ParameterNotFound", "")
	}
	switch r.Operation {
	case "PutParameter":
		return p.put(name, &in)
	case "GetParameter":
		out, err := p.get(found, selector, in.WithDecryption)
		if err != nil {
			return nil, err
		}
		out["Name"], out["ARN"] = name, prefix+"/"+strings.TrimPrefix(name, "/")
		return map[string]any{"Parameter": out}, nil
	case "DeleteParameter":
		delete(p.parameters, name)
		return map[string]any{}, nil
	}
	return nil, Errorf("UnknownOperationException", "%s", r.Operation)
}

func (p *ParameterStore) put(name string, in *ssmInput) (any, error) {
	limit := 4096
	if in.Tier == "Advanced" {
		limit = 8192
	}
	found := p.parameters[name]
	switch {
	case in.Value == "" || len(in.Value) > limit:
		return nil, Errorf("ValidationException", "Standard tier parameters support a maximum parameter value of 4096 characters.")
	case found != nil && !in.Overwrite:
		return nil, Errorf("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	case found == nil && in.Type != "String" && in.Type != "SecureString" && in.Type != "StringList":
		return nil, Errorf("UnsupportedParameterType", "The parameter type is not supported.")
	case found == nil:
		found = &parameter{kind: in.Type}
		p.parameters[name] = found
	}
	found.values = append(found.values, in.Value)
	return map[string]any{"Version": len(found.values)}, nil
}

func (p *ParameterStore) get(found *parameter, selector string, decrypt bool) (map[string]any, error) {
	version := len(found.values)
	if selector != "" {
		n, err := strconv.Atoi(selector)
		if err != nil || n < 1 || n > len(found.values) {
			return nil, Errorf("ParameterVersionNotFound", "Systems Manager could not find version %s of the parameter.", selector)
		}
		version = n
	}
	value := found.values[version-1]
	if found.kind == "SecureString" {
		switch {
		case !decrypt:
			value = "AQICAHfakeCiphertext+of+version+" + strconv.Itoa(version)
		case p.keyDisabled:
			return nil, Errorf("InvalidKeyId", "The key is disabled.")
		}
	}
	return map[string]any{"Type": found.kind, "Value": value, "Version": version, "DataType": "text"}, nil
}
