package fakeaws

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Stages of a secret's versions that the service itself moves.
const (
	stageCurrent  = "AWSCURRENT"
	stagePrevious = "AWSPREVIOUS"
)

// SecretsManager is the part of Secrets Manager that reads, writes, rotates and
// deletes secrets. It is safe for concurrent use.
type SecretsManager struct {
	mu          sync.Mutex
	secrets     map[string]*smSecret // by ARN
	keyDisabled bool
}

type smSecret struct {
	name, arn string
	deleted   time.Time // zero: not scheduled for deletion
	versions  []*smVersion
}

type smVersion struct {
	id     string
	text   *string
	binary []byte
	stages []string
}

// NewSecretsManager returns the service without any secret.
func NewSecretsManager() *SecretsManager {
	return &SecretsManager{secrets: make(map[string]*smSecret)}
}

// DisableKey disables the KMS key of every secret, or enables it again.
func (m *SecretsManager) DisableKey(disabled bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keyDisabled = disabled
}

// SigningName implements [Service].
func (*SecretsManager) SigningName() string { return "secretsmanager" }

// Target implements [Service].
func (*SecretsManager) Target() string { return "secretsmanager" }

// smInput has the members of all the operations that are here.
type smInput struct {
	Name                       string   `json:"Name"`
	SecretID                   string   `json:"SecretId"`
	VersionID                  string   `json:"VersionId"`
	VersionStage               string   `json:"VersionStage"`
	ClientRequestToken         string   `json:"ClientRequestToken"`
	SecretString               *string  `json:"SecretString"`
	SecretBinary               []byte   `json:"SecretBinary"`
	VersionStages              []string `json:"VersionStages"`
	MoveToVersionID            string   `json:"MoveToVersionId"`
	RemoveFromVersionID        string   `json:"RemoveFromVersionId"`
	RecoveryWindowInDays       int      `json:"RecoveryWindowInDays"`
	ForceDeleteWithoutRecovery bool     `json:"ForceDeleteWithoutRecovery"`
}

var smName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)

// Serve implements [Service].
func (m *SecretsManager) Serve(r *Request) (any, error) {
	var in smInput
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Operation == "CreateSecret" {
		return m.create(&in)
	}
	s := m.find(in.SecretID)
	if s == nil {
		return nil, Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	if !s.deleted.IsZero() && r.Operation != "RestoreSecret" && r.Operation != "DescribeSecret" {
		return nil, Errorf("InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")
	}
	switch r.Operation {
	case "GetSecretValue":
		return m.get(s, &in)
	case "DescribeSecret":
		out := map[string]any{"ARN": s.arn, "Name": s.name, "VersionIdsToStages": s.stages(), "RotationEnabled": len(s.versions) > 1}
		if !s.deleted.IsZero() {
			out["DeletedDate"] = float64(s.deleted.UnixMilli()) / 1000
		}
		return out, nil
	case "PutSecretValue":
		v, err := s.put(&in)
		if err != nil {
			return nil, err
		}
		return map[string]any{"ARN": s.arn, "Name": s.name, "VersionId": v.id, "VersionStages": v.stages}, nil
	case "UpdateSecretVersionStage":
		if err := s.move(&in); err != nil {
			return nil, err
		}
	case "DeleteSecret":
		if s.deleted = r.Now; in.ForceDeleteWithoutRecovery {
			delete(m.secrets, s.arn)
		}
	case "RestoreSecret":
		s.deleted = time.Time{}
	default:
		return nil, Errorf("UnknownOperationException", "%s", r.Operation)
	}
	return map[string]any{"ARN": s.arn, "Name": s.name}, nil
}

// find returns the secret of a name or a whole ARN, or nil.
func (m *SecretsManager) find(id string) *smSecret {
	for arn, s := range m.secrets {
		if id == arn || id == s.name {
			return s
		}
	}
	return nil
}

func (m *SecretsManager) create(in *smInput) (any, error) {
	if !smName.MatchString(in.Name) {
		return nil, Errorf("InvalidParameterException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	if m.find(in.Name) != nil {
		return nil, Errorf("ResourceExistsException", "The operation failed because the secret %s already exists.", in.Name)
	}
	s := &smSecret{name: in.Name, arn: fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%s", Region, Account, in.Name, rand.Text()[:6])}
	v, err := s.put(in)
	if err != nil {
		return nil, err
	}
	m.secrets[s.arn] = s
	return map[string]any{"ARN": s.arn, "Name": s.name, "VersionId": v.id}, nil
}

func (m *SecretsManager) get(s *smSecret, in *smInput) (any, error) {
	stage := in.VersionStage
	if stage == "" && in.VersionID == "" {
		stage = stageCurrent
	}
	for _, v := range s.versions {
		if (stage != "" && !slices.Contains(v.stages, stage)) || (in.VersionID != "" && v.id != in.VersionID) {
			continue
		}
		if m.keyDisabled {
			return nil, Errorf("DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key.")
		}
		out := map[string]any{"ARN": s.arn, "Name": s.name, "VersionId": v.id, "VersionStages": v.stages, "CreatedDate": 1.7e9}
		if v.text != nil {
			out["SecretString"] = *v.text
		} else {
			out["SecretBinary"] = v.binary
		}
		return out, nil
	}
	return nil, Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: %s", cmp.Or(stage, in.VersionID))
}

// put adds a version. It becomes the current one unless the request says otherwise.
func (s *smSecret) put(in *smInput) (*smVersion, error) {
	const limit = 65536
	switch {
	case (in.SecretString == nil) == (in.SecretBinary == nil):
		return nil, Errorf("InvalidParameterException", "You must provide either SecretString or SecretBinary.")
	case len(in.SecretBinary) > limit, in.SecretString != nil && len(*in.SecretString) > limit:
		return nil, Errorf("ValidationException", "Member must have length less than or equal to %d", limit)
	case len(in.ClientRequestToken) < 32 || len(in.ClientRequestToken) > 64:
		return nil, Errorf("InvalidParameterException", "ClientRequestToken must be 32-64 characters long.")
	}
	if i := slices.IndexFunc(s.versions, func(v *smVersion) bool { return v.id == in.ClientRequestToken }); i >= 0 {
		return nil, Errorf("ResourceExistsException", "You can't use ClientRequestToken %s because that value is already in use.", in.ClientRequestToken)
	}
	v := &smVersion{id: in.ClientRequestToken, text: in.SecretString, binary: in.SecretBinary}
	s.versions = append(s.versions, v)
	stages := in.VersionStages
	if len(stages) == 0 {
		stages = []string{stageCurrent}
	}
	for _, stage := range stages {
		s.stage(stage, v)
	}
	return v, nil
}

// stage moves a label to a version, or takes it off if that is nil. When the current
// version changes, the one before becomes the previous.
func (s *smSecret) stage(label string, to *smVersion) {
	for _, v := range s.versions {
		had := slices.Contains(v.stages, label)
		v.stages = slices.DeleteFunc(slices.Clone(v.stages), func(l string) bool { return l == label })
		if had && label == stageCurrent && v != to {
			s.stage(stagePrevious, v)
		}
	}
	if to != nil {
		to.stages = append(to.stages, label)
	}
}

func (s *smSecret) move(in *smInput) error {
	var to *smVersion
	for _, v := range s.versions {
		if v.id == in.MoveToVersionID {
			to = v
		}
		if slices.Contains(v.stages, in.VersionStage) && v.id != in.RemoveFromVersionID && v.id != in.MoveToVersionID {
			return Errorf("InvalidParameterException", "The parameter RemoveFromVersionId can't be empty or another version than the one with staging label %s.", in.VersionStage)
		}
	}
	if in.MoveToVersionID != "" && to == nil {
		return Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret version.")
	}
	s.stage(in.VersionStage, to)
	return nil
}

func (s *smSecret) stages() map[string][]string {
	all := make(map[string][]string)
	for _, v := range s.versions {
		if len(v.stages) > 0 {
			all[v.id] = v.stages
		}
	}
	return all
}
