package manifest

import "time"

// The types that a manifest is made of on the outside: an in-toto Statement v1 with
// our predicate, signed as DSSE.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://github.com/mcpsec/mcpsec-go/attestation/mcp-manifest/v1"
	PayloadType   = "application/vnd.in-toto+json"
	// DefinitionScheme is how tools, prompts and resources are hashed: SHA-256 of the
	// canonical form (RFC 8785) of the definition as it goes over the wire.
	DefinitionScheme = "tooldef/1"
)

// Limits of a manifest.
const (
	MaxSize     = 1 << 20             // of the statement, in bytes
	MaxLifetime = 90 * 24 * time.Hour // default of what Expires may be after NotBefore
)

// A Manifest is what somebody reviewed and signed: who the server is, what it offers
// and nothing else, and what runs behind it. All digests are SHA-256 in 64 lower-case
// hexadecimal digits. Lists are sorted by name, names are unique.
type Manifest struct {
	ServerName    string `json:"serverName"`
	ServerVersion string `json:"serverVersion"`
	// Sequence rises with each manifest of the server and begins at 1.
	Sequence uint64 `json:"sequence"`
	// Previous is the digest of the statement of the manifest before; empty for the first.
	Previous  string    `json:"previous,omitempty"`
	IssuedAt  time.Time `json:"issuedAt"` // not after NotBefore; UTC and whole seconds, like the next two
	NotBefore time.Time `json:"notBefore"`
	Expires   time.Time `json:"expires"`
	// Closed and AllowSymlinks are written out and have one value each: true, false.
	Closed           bool   `json:"closed"`
	AllowSymlinks    bool   `json:"allowSymlinks"`
	DefinitionScheme string `json:"definitionScheme"`
	// ServerSHA256 is the digest of all that the server says of itself, the serverInfo of
	// its answer to initialize: name and version, title, description, site and icons.
	ServerSHA256 string `json:"serverSha256"`
	// InstructionsSHA256 is the digest of the instructions, UTF-8, as they are; of the
	// empty text when there are none.
	InstructionsSHA256 string       `json:"instructionsSha256"`
	Tools              []Tool       `json:"tools"`
	Prompts            []Definition `json:"prompts"`
	Resources          []Definition `json:"resources"`         // by URI
	ResourceTemplates  []Definition `json:"resourceTemplates"` // by URI template
	Executables        []Executable `json:"executables"`       // by platform
	Artifacts          []Artifact   `json:"artifacts"`
	// PolicySHA256 is the digest of the policy file, or empty.
	PolicySHA256 string `json:"policySha256,omitempty"`
	SBOM         *SBOM  `json:"sbom,omitempty"`
	Vuln         *Vuln  `json:"vuln,omitempty"`
}

// A Tool is one reviewed tool. Version is semantic and may be empty.
type Tool struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	SHA256    string   `json:"sha256"`
	Artifacts []string `json:"artifacts"` // names of those it reads, sorted
}

// A Definition is one reviewed prompt, resource or resource template.
type Definition struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// An Executable is the reviewed program for one platform, such as "linux/amd64".
type Executable struct {
	Platform string   `json:"platform"`
	SHA256   string   `json:"sha256"`
	Size     int64    `json:"size"`
	GoBuild  *GoBuild `json:"goBuild,omitempty"`
}

// A GoBuild is what a Go program says of its build.
type GoBuild struct {
	Main           string `json:"main"`               // module path
	Version        string `json:"version"`            // of the main module
	Sum            string `json:"sum,omitempty"`      // "h1:..." of the main module, if any
	GoVersion      string `json:"goVersion"`          // "go1.26.8"
	Revision       string `json:"revision,omitempty"` // of the version control system
	Modified       bool   `json:"modified"`           // built from a changed tree
	SettingsSHA256 string `json:"settingsSha256"`     // of all build settings, one "key=value" a line
}

// A Bind says how what runs is tied to the bytes that were reviewed.
type Bind string

// The binds.
const (
	// Exec runs from a sealed copy.
	Exec Bind = "exec"
	// Snapshot is read once, at start, into sealed memory and used only from there.
	Snapshot Bind = "snapshot"
	// Watch stays a file that others open: it is checked on every call and rehashed
	// in the background. It is the weakest.
	Watch Bind = "watch"
)

// An Artifact is a file that tools use.
type Artifact struct {
	Name   string `json:"name"`
	Role   string `json:"role"` // "model", "prompt", "script", ... one word
	Path   string `json:"path"` // relative to the folder the server is given, slashes, no ".."
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Bind   Bind   `json:"bind"`
}

// An SBOM names the bill of materials by its bytes.
type SBOM struct {
	Format      string `json:"format"`      // "CycloneDX"
	SpecVersion string `json:"specVersion"` // "1.5"
	SHA256      string `json:"sha256"`
}

// A Vuln is the verdict of the vulnerability gate when the manifest was made.
type Vuln struct {
	DBModified time.Time `json:"dbModified"`
	Gate       string    `json:"gate"`                // "passed"
	VEXSHA256  string    `json:"vexSha256,omitempty"` // of the exceptions that were applied
}
