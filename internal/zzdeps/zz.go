// Package zzdeps keeps requirements alive while the parts that use them are being written.
package zzdeps

import (
	_ "github.com/caddyserver/certmagic"
	_ "github.com/cilium/ebpf"
	_ "github.com/cilium/ebpf/asm"
	_ "github.com/cilium/ebpf/link"
	_ "github.com/cilium/ebpf/ringbuf"
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/landlock-lsm/go-landlock/landlock"
	_ "github.com/opencontainers/runtime-spec/specs-go"
	_ "github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	_ "github.com/spiffe/go-spiffe/v2/spiffeid"
	_ "github.com/spiffe/go-spiffe/v2/svid/x509svid"
	_ "github.com/spiffe/go-spiffe/v2/workloadapi"
	_ "github.com/zitadel/oidc/v3/example/server/storage"
	_ "github.com/zitadel/oidc/v3/pkg/op"
	_ "golang.org/x/net/bpf"
	_ "golang.org/x/net/dns/dnsmessage"
	_ "golang.org/x/net/http2"
	_ "golang.org/x/net/idna"
	_ "golang.org/x/sys/unix"
)
