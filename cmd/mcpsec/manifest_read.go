package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/lint"
	"github.com/mcpsec/mcpsec-go/attest/lock"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/attest/manifest/draft"
	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// A reviewed manifest is one that somebody looks at: no signature of it is verified.
type reviewed struct {
	statement   []byte
	manifest    *manifest.Manifest
	bundles     []*envelope.Bundle // what the file says of its signers
	definitions *lock.Server       // nil if they are not there
	program     string             // path of the executable that was started
	bare        bool               // it is an interpreter, and what it runs is not known
}

// readReviewed reads a manifest, signed or not, without its definitions.
func readReviewed(ctx context.Context, path string) (*reviewed, error) {
	file, err := regular.ReadFile(path, envelope.MaxFile)
	if err != nil {
		return nil, err
	}
	r := &reviewed{}
	if r.statement, r.bundles, err = draft.Statement(ctx, file); err == nil {
		r.manifest, err = manifest.Decode(r.statement)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// companion is the file of definitions beside a manifest, signed or not.
func companion(path string) string { return stem(path) + draft.Suffix }

func stem(path string) string {
	return strings.TrimSuffix(strings.TrimSuffix(path, ".json"), ".sigstore")
}

// errNoDefinitions says that there is no file of definitions.
var errNoDefinitions = errors.New("the definitions are not there")

// readDefinitions reads the file beside a manifest, which must be the definitions that it
// has the digests of.
func (r *reviewed) readDefinitions(path string) error {
	file := companion(path)
	data, err := regular.ReadFile(file, draft.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", errNoDefinitions, file)
	}
	if err != nil {
		return err
	}
	seen, err := draft.Decode(data)
	if err == nil {
		err = draft.Match(r.manifest, seen)
	}
	if err != nil {
		return fmt.Errorf("%s is not of this manifest, make it again or remove it: %w", file, err)
	}
	r.definitions = seen
	return nil
}

// A remark is what speaks against signing, as the user sees it.
type remark struct {
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Where    string `json:"where"`
	Message  string `json:"message"`
	Remedy   string `json:"remedy"`
}

// findings judges the definitions or, without them, the names.
func (r *reviewed) findings() ([]remark, error) {
	list := []remark{}
	var (
		set lint.Set
		err error
	)
	if r.definitions != nil {
		set, err = draft.Set(r.definitions)
	} else {
		set, err = draft.Names(r.manifest)
		list = append(list, remark{"warning", "definitions_not_seen", "definitions", "only the names could be judged", "read the definitions where the manifest was made"})
	}
	if err != nil {
		return nil, err
	}
	if r.bare {
		list = append(list, remark{"warning", "script_not_found", "executable", "it is an interpreter, and its command line does not say which file it runs", "add what it runs with --artifact"})
	}
	for _, e := range r.manifest.Executables {
		if e.GoBuild != nil && e.GoBuild.Modified {
			list = append(list, remark{"warning", "modified_tree", "executable " + e.Platform, "it was built from a tree with changes that are in no revision", "commit them and build again"})
		}
	}
	for _, f := range lint.Definitions(set) {
		list = append(list, remark{f.Severity.String(), f.Code, f.Where, f.Message, f.Remedy})
	}
	return list, nil
}

// refused reports whether one of them is an error.
func refused(list []remark) bool {
	return slices.ContainsFunc(list, func(r remark) bool { return r.Severity == lint.Error.String() })
}
