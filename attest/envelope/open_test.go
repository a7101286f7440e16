package envelope

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fake is a verifier of the test's own making.
type fake func(ctx context.Context, bundle []byte) (*Verified, error)

func (f fake) Verify(ctx context.Context, bundle []byte) (*Verified, error) { return f(ctx, bundle) }
func (fake) Describe() string                                               { return "a fake" }

// says is a verifier that accepts every bundle as the signer's.
func says(id string) fake {
	return func(_ context.Context, bundle []byte) (*Verified, error) {
		b, err := Parse(bundle)
		if err != nil {
			return nil, err
		}
		return &Verified{PayloadType: b.PayloadType, Payload: b.Payload, ID: id, Signer: id}, nil
	}
}

func joined(t *testing.T, bundles ...[]byte) []byte {
	t.Helper()
	file, err := Join(bundles...)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFilesOfSeveralBundles(t *testing.T) {
	t.Parallel()
	a, signA := ed25519Key(t)
	b, signB := ecdsaKey(t)
	c, signC := ed25519Key(t)
	ofA, ofB, ofC := sign(t, signA, statement), sign(t, signB, statement), sign(t, signC, statement)
	otherA := sign(t, signA, statement+" ")
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, ofA, "", "  "); err != nil {
		t.Fatal(err)
	}
	lines := func(list ...[]byte) []byte { return bytes.Join(list, []byte("\n")) }
	two := Threshold(2, Keys(a), Keys(b, c))
	for _, test := range []struct {
		name string
		file []byte
		v    Verifier
		want error
		n    int
	}{
		{"one, on a line", append(ofA, '\n'), Keys(a), nil, 1},
		{"one, without a line feed", ofA, Keys(a), nil, 1},
		{"one, pretty-printed", pretty.Bytes(), Keys(a), nil, 1},
		{"two, of which one is trusted", joined(t, ofA, ofB), Keys(b), nil, 1},
		{"two pretty-printed ones, joined", joined(t, pretty.Bytes(), ofB), Keys(a, b), nil, 2},
		{"two of two", joined(t, ofA, ofB), two, nil, 2},
		{"three of two", joined(t, ofC, ofA, ofB), two, nil, 3},
		{"lines that end as on Windows", lines(append(ofA, '\r'), append(ofB, '\r', '\n')), two, nil, 2},
		{"one where two must sign", ofA, two, ErrUntrusted, 0},
		{"one signer twice where two must sign", joined(t, ofA, ofA), two, ErrUntrusted, 0},
		{"one signer twice, by a randomised signature", joined(t, ofB, sign(t, signB, statement)), two, ErrUntrusted, 0},
		{"one signer known to two verifiers", ofA, Threshold(2, Keys(a), Keys(a, b)), ErrUntrusted, 0},
		{"two signers, of which one is a stranger", joined(t, ofA, ofB), Threshold(2, Keys(a), Keys(c)), ErrUntrusted, 0},
		{"two payloads", lines(otherA, ofB), Keys(a, b), ErrBundle, 0},
		{"two payloads, of which a stranger signed the second", lines(ofA, sign(t, signC, "{}")), Keys(a), ErrBundle, 0},
		{"a line of nonsense after a good one", lines(ofA, []byte("nonsense")), Keys(a), ErrBundle, 0},
		{"a line of nonsense before a good one", lines([]byte("{}"), ofA), Keys(a), ErrBundle, 0},
		{"an empty line in between", lines(ofA, nil, ofB), Keys(a), ErrBundle, 0},
		{"an array of bundles", append(append([]byte("["), ofA...), ']'), Keys(a), ErrBundle, 0},
		{"17 bundles", lines(slices.Repeat([][]byte{ofA}, MaxBundles+1)...), Keys(a), ErrBundle, 0},
		{"a file above its limit", bytes.Repeat([]byte(" "), MaxFile+1), Keys(a), ErrBundle, 0},
		{"a file above its limit, of bundles that are not", bytes.Repeat(append(bytes.Repeat([]byte(" "), MaxFile/MaxBundles), append(ofA, '\n')...), MaxBundles), Keys(a), ErrBundle, 0},
		{"a large file of bundles", bytes.Repeat(append(bytes.Repeat([]byte(" "), MaxFile/MaxBundles-1000), append(ofA, '\n')...), MaxBundles), Keys(a), nil, 1},
		{"nobody is trusted", ofA, Keys(), ErrConfig, 0},
		{"the zero key is trusted", ofA, Keys(Key{}), ErrConfig, 0},
		{"a key that is never valid", ofA, Keys(a.Valid(time.Unix(2, 0), time.Unix(1, 0))), ErrConfig, 0},
		{"65 keys", ofA, Keys(slices.Repeat([]Key{a}, maxKeys+1)...), ErrConfig, 0},
		{"no verifier", ofA, nil, ErrConfig, 0},
		{"a threshold of none", ofA, Threshold(0, Keys(a)), ErrConfig, 0},
		{"a threshold below none", ofA, Threshold(-1, Keys(a)), ErrConfig, 0},
		{"a threshold beyond what a file holds", ofA, Threshold(MaxBundles+1, Keys(a)), ErrConfig, 0},
		{"a threshold over nobody", ofA, Threshold(1), ErrConfig, 0},
		{"a threshold over nil", ofA, Threshold(1, Keys(a), nil), ErrConfig, 0},
		{"a threshold in a threshold", ofA, Threshold(1, Keys(a), Threshold(1, Keys(a))), ErrConfig, 0},
		{"a threshold with a verifier that has no key", ofA, Threshold(1, Keys()), ErrUntrusted, 0},
		{"a verifier that sees another payload", ofA, fake(func(context.Context, []byte) (*Verified, error) {
			return &Verified{PayloadType: PayloadType, Payload: []byte("{}"), ID: "x"}, nil
		}), ErrUntrusted, 0},
		{"a verifier that sees another payload type", ofA, fake(func(context.Context, []byte) (*Verified, error) {
			return &Verified{PayloadType: "x", Payload: []byte(statement), ID: "x"}, nil
		}), ErrUntrusted, 0},
		{"a verifier that returns nothing", ofA, fake(func(context.Context, []byte) (*Verified, error) { return nil, nil }), ErrUntrusted, 0},
		{"a verifier that does not say who", ofA, says(""), ErrUntrusted, 0},
		{"a verifier that returns both", ofA, fake(func(ctx context.Context, bundle []byte) (*Verified, error) {
			v, _ := says("x")(ctx, bundle)
			return v, errors.New("no")
		}), ErrUntrusted, 0},
		{"neg 62: a verifier that panics", ofA, fake(func(context.Context, []byte) (*Verified, error) { panic("oh") }), ErrUntrusted, 0},
		{"neg 62: a verifier that is a nil pointer", ofA, (*keyring)(nil), ErrUntrusted, 0},
		{"neg 62: a verifier that panics beside one that does not", ofA, Threshold(1, fake(func(context.Context, []byte) (*Verified, error) { panic("oh") }), Keys(a)), nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			signed, err := Open(t.Context(), test.file, test.v)
			if !errors.Is(err, test.want) || len(signed) != test.n {
				t.Fatalf("got %d signatures and %v; want %d and %v", len(signed), err, test.n, test.want)
			}
			for i, s := range signed {
				if string(s.Payload) != statement || i > 0 && signed[i-1].ID >= s.ID {
					t.Errorf("signature %d: %q of %s", i, s.Payload, s.ID)
				}
			}
		})
	}
}

// TestThresholdAloneRefuses: somebody who calls Verify and not Open gets no less.
func TestThresholdAloneRefuses(t *testing.T) {
	t.Parallel()
	a, signer := ed25519Key(t)
	bundle := sign(t, signer, statement)
	if _, err := Threshold(2, Keys(a), Keys(a)).Verify(t.Context(), bundle); !errors.Is(err, ErrUntrusted) {
		t.Error(err)
	}
	if signed, err := Threshold(1, Keys(), Keys(a)).Verify(t.Context(), bundle); err != nil || signed.ID != "key "+a.ID() {
		t.Error(signed, err)
	}
	if _, err := Threshold(0, Keys(a)).Verify(t.Context(), bundle); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

// TestVerifierThatNeverAnswers: it ends by the context, by the limit, and when many of
// them have piled up.
func TestVerifierThatNeverAnswers(t *testing.T) { //nolint:paralleltest // it fills the places of the whole process
	_, signer := ed25519Key(t)
	bundle := sign(t, signer, statement)
	synctest.Test(t, func(t *testing.T) {
		asking = make(chan struct{}, cap(asking)) // a channel of this bubble
		over := make(chan struct{})
		stuck := fake(func(context.Context, []byte) (*Verified, error) { <-over; return nil, errors.New("no") })
		began := time.Now()
		if _, err := Open(t.Context(), bundle, stuck); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != MaxTime {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Open(ctx, bundle, stuck); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Open(gone, bundle, stuck); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		var group sync.WaitGroup
		for range cap(asking) { // some of these wait for a place until their time is over
			group.Go(func() { _, _ = Open(t.Context(), bundle, stuck) })
		}
		group.Wait()
		if _, err := Open(t.Context(), bundle, says("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(over)
		synctest.Wait()
		if _, err := Open(t.Context(), bundle, says("x")); err != nil {
			t.Error(err)
		}
	})
	asking = make(chan struct{}, cap(asking))
}

// TestVerifierThatWritesWhatItReads harms nobody.
func TestVerifierThatWritesWhatItReads(t *testing.T) {
	t.Parallel()
	a, signer := ed25519Key(t)
	bundle := sign(t, signer, statement)
	var kept *Verified
	evil := fake(func(ctx context.Context, bundle []byte) (*Verified, error) {
		v, err := says("evil")(ctx, bundle)
		clear(bundle)
		kept = v
		return v, err
	})
	signed, err := Open(t.Context(), bundle, Threshold(2, evil, Keys(a)))
	if err != nil || len(signed) != 2 {
		t.Fatal(signed, err)
	}
	clear(kept.Payload)
	if string(signed[0].Payload) != statement {
		t.Error("the payload changed after it was verified")
	}
}

func TestJoinRefuses(t *testing.T) {
	t.Parallel()
	_, signer := ed25519Key(t)
	good := sign(t, signer, statement)
	for name, bundles := range map[string][][]byte{
		"nothing":       {},
		"17 bundles":    slices.Repeat([][]byte{good}, MaxBundles+1),
		"no bundle":     {[]byte("{}")},
		"no JSON":       {[]byte("{")},
		"two payloads":  {good, sign(t, signer, "{}")},
		"two at a time": {append(append([]byte{}, good...), good...)},
	} {
		if file, err := Join(bundles...); !errors.Is(err, ErrBundle) || file != nil {
			t.Errorf("%s: %q, %v", name, file, err)
		}
	}
}

// TestErrorsSayWho: what was found, whom the verifier trusts, and nothing that hides.
func TestErrorsSayWho(t *testing.T) {
	t.Parallel()
	a, _ := ed25519Key(t)
	_, signer := ed25519Key(t)
	bundle := edit(t, sign(t, signer, statement), func(b map[string]any) {
		material(b)["publicKey"] = map[string]any{"hint": "\u202e\x1b[2K" + strings.Repeat("x", 1000)}
	})
	_, err := Open(t.Context(), bundle, Threshold(1, Keys(a)))
	text := fmt.Sprint(err)
	if !strings.Contains(text, a.ID()) || strings.ContainsAny(text, "\u202e\x1b") || len(text) > 1000 {
		t.Errorf("%q", text)
	}
}
