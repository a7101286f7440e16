package pki

import (
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
)

func FuzzBlocks(f *testing.F) {
	f.Add(testpki.Encode("CERTIFICATE", []byte("a"), []byte("b")))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n-----BEGIN"))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := blocks(data, "CERTIFICATE", 3)
		if err != nil {
			return
		}
		// What was found says all that there is: written anew, it reads the same.
		again, err := blocks(testpki.Encode("CERTIFICATE", found...), "CERTIFICATE", 3)
		if err != nil || len(again) != len(found) || len(found) > 3 {
			t.Errorf("%d and %d blocks: %v", len(found), len(again), err)
		}
	})
}

func FuzzRevocationList(f *testing.F) {
	root := testpki.New(f, "root")
	f.Add(root.CRL(f, 1, nil, root.Cert))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := make(lists)
		if err := l.add(data, time.Now()); err == nil {
			_ = l.judge(root.Cert, root.Cert, time.Now())
		}
	})
}

func FuzzDenyList(f *testing.F) {
	f.Add([]byte("serial:0A:1B\nsha256:00 # x\nspki:"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if list, err := parseDenyList(data); err == nil && len(list) > maxDenyEntries {
			t.Error("too many")
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"spiffe://a/b/*", "dns:*.example.org", "email:a@b", "ip:::1", "uri:urn:x"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, text, own string) {
		p, err := parsePattern(text)
		if err != nil {
			return
		}
		for _, k := range []kind{kindSPIFFE, kindDNS, kindEmail, kindIP, kindURI} {
			if p.matches(name{k, own}) && k != p.name.kind {
				t.Errorf("%q matches %q of kind %s", text, own, k)
			}
		}
	})
}
