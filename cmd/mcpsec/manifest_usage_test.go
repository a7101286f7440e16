package main

import (
	"bytes"
	"strings"
	"testing"
)

// A command line that is wrong is told so before anything is read, started or asked.
func TestManifestCommandsThatAreWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ line, want string }{
		{"manifest", "give --from, or two dashes"},
		{"manifest notes serve", "give --from, or two dashes"},
		{"manifest --from captured.json -- notes serve", "give --from, or two dashes"},
		{"manifest --expires 91d -- notes serve", "up to 90d"},
		{"manifest --expires never -- notes serve", "up to 90d"},
		{"manifest -o manifest.sigstore.json -- notes serve", "for signatures or definitions"},
		{"manifest -o manifest.tools.json -- notes serve", "for signatures or definitions"},
		{"manifest --timeout 0s -- notes serve", "more than nothing"},
		{"manifest --artifact rules=rules.txt -- notes serve", "an artifact is NAME=PATH:BIND:ROLE"},
		{"manifest --artifact rules=rules.txt:glance:prompt -- notes serve", "none of exec, snapshot and watch"},
		{"manifest --platform linux -- notes serve", "OS/ARCH=PATH"},
		{"manifest --tool-version read= -- notes serve", "NAME=VERSION"},
		{"manifest --env TOKEN=secret -- notes serve", "list of processes"},
		{"manifest --env MCPSEC_NOT_SET -- notes serve", "no such variable"},
		{"diff manifest.json", "accepts 2 arg(s)"},
		{"sign --key alice.key", "accepts 1 arg(s)"},
		{"sign manifest.json", "give one of --key, --kms and --keyless"},
		{"sign manifest.json --key alice.key --kms awskms:///alias/x", "give one of"},
		{"sign manifest.json --key alice.key --keyless", "give one of"},
		{"sign manifest.json --key alice.key --fulcio-url https://fulcio.example.com", "are for --keyless"},
		{"sign manifest.json --keyless", "needs --identity-token-file"},
		{"sign manifest.json --keyless --identity-token-file token", "either --signing-config or"},
		{"sign manifest.json --keyless --identity-token-file token --signing-config c.json --tsa-url https://tsa.example.com", "either --signing-config or"},
		{"sign manifest.json --kms awskms:///alias/x --passphrase-file phrase", "is for --key"},
		{"verify --key alice.pub", "requires at least 1 arg(s)"},
		{"verify manifest.sigstore.json", "whom to trust is not said"},
		{"verify manifest.sigstore.json --key alice.pub --threshold 2", "trusts 1 signers"},
		{"verify manifest.sigstore.json --key alice.pub --threshold 0", "trusts 1 signers"},
		{"verify manifest.sigstore.json --key alice.pub --using cosign", "are for --identity"},
		{"verify manifest.sigstore.json --key alice.pub --private-pki", "are for --identity"},
		{"verify manifest.sigstore.json --key alice.pub --runner github-hosted", "are for --identity"},
		{"verify manifest.sigstore.json --key alice.pub --using gpg", "sigstore or cosign"},
		{"verify manifest.sigstore.json --identity a@example.com", "belong together"}, // neg 30
		{"verify manifest.sigstore.json --key alice.pub notes serve", "behind two dashes"},
		{"verify manifest.sigstore.json --key alice.pub --timeout 0s", "more than nothing"},
		{"keygen passphrase", "unknown command"},
		{"keygen --passphrase secret", "unknown flag"},
	} {
		t.Run(test.line, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			if code := execute(t.Context(), strings.Fields(test.line), &out, &errs); code != exitUsage || out.Len() > 0 || !strings.Contains(errs.String(), test.want) {
				t.Errorf("exit code %d, want %d and %q: %s%s", code, exitUsage, test.want, out.String(), errs.String())
			}
		})
	}
}
