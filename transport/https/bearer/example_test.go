package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer"
)

func ExampleNew() {
	tokens, err := bearer.New(bearer.Config{
		Issuers:  []bearer.Issuer{{URL: "https://login.example.com"}},
		Audience: []string{"https://mcp.example.com/mcp"},
		Scopes:   map[string][]string{"*": {"mcp"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodPost, "https://mcp.example.com/mcp", http.NoBody)
	_, err = tokens.Authenticate(r, nil)
	if refused, ok := errors.AsType[*https.AuthError](err); ok {
		fmt.Println(refused.Status, refused.Scheme, refused.Description, refused.Scope)
	}
	fmt.Println(string(tokens.Metadata("https://mcp.example.com/mcp")))
	// Output:
	// 401 Bearer an access token is required mcp
	// {"resource":"https://mcp.example.com/mcp","authorization_servers":["https://login.example.com"],"scopes_supported":["mcp"],"bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":["RS256","PS256","ES256","ES384","EdDSA"]}
}

func ExampleVerifier_Permit() {
	tokens, err := bearer.New(bearer.Config{
		Issuers:  []bearer.Issuer{bearer.Cognito("eu-west-1", "eu-west-1_AbCdEf123", "my-client")},
		Scopes:   map[string][]string{"*": {"files/read"}, "tools/call delete_*": {"files/write"}},
		Implies:  map[string][]string{"files/write": {"files/read"}},
		Audience: nil, // Cognito's tokens name the client instead
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	reader := &https.Identity{Principal: mcpsec.Principal{Scopes: []string{"files/read"}}}
	writer := &https.Identity{Principal: mcpsec.Principal{Scopes: []string{"files/write"}}}
	fmt.Println(tokens.Permit(reader, "tools/call", "read_file"))
	err = tokens.Permit(reader, "tools/call", "delete_file")
	if refused, ok := errors.AsType[*https.AuthError](err); ok {
		fmt.Println(refused.Status, refused.Code, refused.Scope)
	}
	fmt.Println(tokens.Permit(writer, "tools/call", "delete_file"))
	// Output:
	// <nil>
	// 403 insufficient_scope files/read files/write
	// <nil>
}

func ExampleVerifier_Revoke() {
	tokens, err := bearer.New(bearer.Config{
		Issuers: []bearer.Issuer{{
			URL: "https://login.example.com",
			Introspection: &bearer.Introspection{
				ClientID: "mcp", Secret: func(context.Context) (string, error) { return "from a vault", nil },
			},
		}},
		Audience: []string{"https://mcp.example.com/mcp"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tokens.Revoke(bearer.Revocation{Subject: "alice"}))
	fmt.Println(tokens.Revoke(bearer.Revocation{Issuer: "https://other.example.com", ID: "x"}))
	// Output:
	// <nil>
	// bearer: Revoke: "https://other.example.com" is none of the issuers
}
