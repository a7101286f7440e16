package redis

import (
	"crypto/sha1" //nolint:gosec // Redis names scripts by SHA-1
	_ "embed"
	"encoding/hex"
	"strings"
)

//go:embed lua/common.lua
var common string

//go:embed lua/account.lua
var accounts string

//go:embed lua/bucket.lua
var buckets string

//go:embed lua/take.lua
var take string

//go:embed lua/settle.lua
var settle string

//go:embed lua/return.lua
var giveBack string

// A script runs in one atomic step. It reads everything before it writes anything,
// so that an error leaves no half of a decision behind.
type script struct{ source, sha string }

func compose(parts ...string) *script {
	source := strings.Join(parts, "")
	sum := sha1.Sum([]byte(source)) //nolint:gosec // see the import
	return &script{source, hex.EncodeToString(sum[:])}
}

// scripts are all that a store runs.
type scripts struct{ take, settle, giveBack *script }

var ours = scripts{
	take:     compose(common, buckets, accounts, take),
	settle:   compose(common, accounts, settle),
	giveBack: compose(common, buckets, giveBack),
}
