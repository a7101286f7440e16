package vuln_test

import (
	"fmt"
	"time"

	"github.com/mcpsec/mcpsec-go/attest/vuln"
)

func ExampleGate_Grype() {
	report := []byte(`{"matches": [{"vulnerability": {"id": "CVE-2026-1", "severity": "High", "fix": {"versions": ["2.0"]}},
		"artifact": {"name": "left-pad", "version": "1.0", "purl": "pkg:npm/left-pad@1.0"}}],
		"descriptor": {"name": "grype", "db": {"status": {"built": "2026-11-20T00:00:00Z"}}}}`)
	gate := vuln.Gate{Now: func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }}
	verdict, err := gate.Grype(report)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(verdict.Err())
	// Output:
	// vuln: CVE-2026-1 in pkg:npm/left-pad@1.0, severity high; fixed in 2.0: update it, or excuse it with OpenVEX
}
