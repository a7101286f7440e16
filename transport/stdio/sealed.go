package stdio

import (
	"slices"
	"sync"

	"github.com/mcpsec/mcpsec-go/internal/memfd"
)

// Bounds of what is kept sealed between launches.
const (
	keepPrograms = 8
	keepBytes    = 512 << 20
)

// sealed are programs that were verified, by digest, the one used last at the end.
var sealed programs

type programs struct {
	mu   sync.Mutex
	kept []program
}

type program struct {
	sha256 string
	blob   *memfd.Blob
}

func (p *programs) get(sha256 string) *memfd.Blob {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.kept, func(k program) bool { return k.sha256 == sha256 })
	if i < 0 {
		return nil
	}
	k := p.kept[i]
	p.kept = append(slices.Delete(p.kept, i, i+1), k)
	return k.blob
}

// put keeps a program, and lets go of those that were not used for longest. Their memory
// is given back when nobody runs them any more.
func (p *programs) put(sha256 string, blob *memfd.Blob) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = slices.DeleteFunc(p.kept, func(k program) bool { return k.sha256 == sha256 })
	p.kept = append(p.kept, program{sha256, blob})
	size := 0
	for _, k := range p.kept {
		size += len(k.blob.Bytes())
	}
	for len(p.kept) > keepPrograms || size > keepBytes {
		size -= len(p.kept[0].blob.Bytes())
		p.kept = slices.Delete(p.kept, 0, 1)
	}
}
