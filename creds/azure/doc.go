// Package azure issues access tokens of Microsoft Entra ID and reads secrets from Azure
// Key Vault, by workload identity or a certificate, and without Azure's client tree.
//
//	app := azure.Application{
//		Tenant: "11111111-2222-3333-4444-555555555555",
//		ClientID: "66666666-7777-8888-9999-000000000000",
//		Proof:  azure.Workload(creds.File("/var/run/secrets/azure/tokens/token", creds.InsecurePermissions())),
//	}
//	creds.ForTool("report",
//		creds.Named("storage", azure.AccessToken(app, "https://storage.azure.com/.default")),
//		creds.Named("key", azure.Secret(app, "my-vault", "report-key", "")),
//	)
//
// # What it stops
//
// A client secret in the environment: the application proves itself with the token that
// the platform issued, read anew each time, or with a key that may live in hardware and
// signs for each request. The answers are checked: kind and life of the token, name and
// state of the secret.
//
// # What it does not stop
//
// An application with wide roles: Entra ID cannot narrow one token of an application
// below its role assignments. Give tools that must not share rights an application
// each. A token lives as long as Entra ID says, usually an hour, and cannot be recalled.
package azure
