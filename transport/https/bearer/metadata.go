package bearer

import "encoding/json"

// metadata is a protected resource's (RFC 9728).
type metadata struct {
	Resource     string   `json:"resource"`
	Name         string   `json:"resource_name,omitempty"`
	Servers      []string `json:"authorization_servers"`
	Scopes       []string `json:"scopes_supported,omitempty"`
	Methods      []string `json:"bearer_methods_supported"`
	Certificates bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	DPoP         []string `json:"dpop_signing_alg_values_supported"`
	DPoPBound    bool     `json:"dpop_bound_access_tokens_required,omitempty"`
}

// Metadata implements https.Tokens: the metadata of the endpoint that resource is the URL
// of. Clients ask their issuer for a token for that URL, so it should be one of
// Config.Audience.
func (v *Verifier) Metadata(resource string) []byte {
	m := metadata{
		Resource: resource, Name: v.config.Name, Scopes: v.scopes.all, Methods: []string{"header"},
		Certificates: v.config.CertificateBound,
		DPoP:         v.config.DPoP.Algorithms, DPoPBound: v.config.DPoP.Required,
	}
	for n := range v.config.Issuers {
		m.Servers = append(m.Servers, v.config.Issuers[n].URL)
	}
	data, err := json.Marshal(m)
	if err != nil {
		return []byte("{}") // strings and booleans always marshal
	}
	return data
}
