// Package gcp issues short-lived access tokens of Google Cloud and reads secrets from
// Secret Manager, by workload identity federation and without Google's client tree.
//
//	account := gcp.Federation{
//		Audience:       "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/providers/k",
//		Token:          creds.File("/var/run/secrets/gcp/token", creds.InsecurePermissions()),
//		ServiceAccount: "reports@my-project.iam.gserviceaccount.com",
//	}
//	creds.ForTool("report",
//		creds.Named("bucket", gcp.AccessToken(gcp.Config{Account: account}, gcp.Token{
//			Scopes:   []string{"https://www.googleapis.com/auth/devstorage.read_only"},
//			Boundary: []gcp.Rule{gcp.Bucket("reports", "2026/", "inRole:roles/storage.objectViewer")},
//		})),
//		creds.Named("key", gcp.Secret(gcp.Config{Account: account}, "projects/my-project/secrets/report-key/versions/7")),
//	)
//
// # What it stops
//
// A service account key on the disk: the platform's own token, read anew each time, is
// exchanged (RFC 8693) and the service account is impersonated for 15 minutes. A tool
// that reaches beyond its bucket: a boundary makes the token useless for anything else.
//
// # What it does not stop
//
// Roles that are too wide: a boundary narrows Cloud Storage only, other services obey
// IAM and the scopes alone. A token cannot be recalled; it ends by itself. With a
// [KeyFile], whoever copies the file is the account until the key is deleted.
package gcp
