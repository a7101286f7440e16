package oauth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/oauth"
)

func ExampleExchange() {
	_, key, err := ed25519.GenerateKey(rand.Reader) // in earnest, one that the server knows
	if err != nil {
		fmt.Println(err)
		return
	}
	p := oauth.Exchange(oauth.Config{
		TokenURL: "https://login.example/token", ClientID: "calendar-mcp", Auth: oauth.PrivateKey(key, "key-1"),
		Audience: []string{"https://calendar.example"}, Scopes: []string{"calendar.read"},
	})
	spec := creds.NewSpec("calendar", nil)
	a, err := p.(creds.Describer).Describe(spec, creds.Request{})
	fmt.Println(p.(creds.Checker).Check(spec), a.Identity, a.Rules[0].Actions, a.Rules[0].Resources, err)
	_, err = p.(creds.Planner).Plan(spec, creds.Request{})
	fmt.Println(err)
	// Output:
	// <nil> client calendar-mcp of login.example [calendar.read] [https://calendar.example] <nil>
	// oauth: the caller showed no token: the transport must verify one and give it on with creds.WithSubject
}

func ExampleClientCredentials() {
	p := oauth.ClientCredentials(oauth.Config{
		TokenURL: "https://login.example/token", ClientID: "reports", Auth: oauth.ClientSecret(creds.Static([]byte("from a file in earnest"))),
	})
	fmt.Println(p.(creds.Checker).Check(creds.NewSpec("reports", nil)))
	// Output: oauth: give Config.Scopes, Audience or Resource: otherwise the token is good for all that the client may do
}
