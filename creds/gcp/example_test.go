package gcp_test

import (
	"fmt"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/gcp"
)

func ExampleAccessToken() {
	account := gcp.Federation{
		Audience:       "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/k8s-prod",
		Token:          creds.Static([]byte("from a file in earnest")),
		ServiceAccount: "reports@my-project.iam.gserviceaccount.com",
	}
	p := gcp.AccessToken(gcp.Config{Account: account}, gcp.Token{
		Scopes:   []string{"https://www.googleapis.com/auth/devstorage.read_only"},
		Boundary: []gcp.Rule{gcp.Bucket("reports", "", "inRole:roles/storage.objectViewer")},
	})
	spec := creds.NewSpec("bucket", nil)
	a, err := p.(creds.Describer).Describe(spec, creds.Request{})
	fmt.Println(p.(creds.Checker).Check(spec), a.Identity, a.Rules[0].Actions, a.Rules[0].Resources, a.Lifetime, err)
	// Output: <nil> reports@my-project.iam.gserviceaccount.com [inRole:roles/storage.objectViewer] [bucket reports] 15m0s <nil>
}

func ExampleSecret() {
	account := gcp.Federation{ServiceAccount: "reports@my-project.iam.gserviceaccount.com"}
	p := gcp.Secret(gcp.Config{Account: account}, "projects/my-project/secrets/report-key/versions/latest")
	a, err := p.(creds.Describer).Describe(creds.NewSpec("key", nil), creds.Request{})
	fmt.Println(a.Rules[0].Resources, a.Notes, err)
	// Output: [projects/my-project/secrets/report-key/versions/latest] [Whoever may add a version decides what the tool gets: pin a number if that matters.] <nil>
}
