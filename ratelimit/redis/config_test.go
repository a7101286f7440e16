package redis

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

func TestClientsThatMayStallAreRefused(t *testing.T) {
	t.Parallel()
	single := func(o goredis.Options) goredis.UniversalClient { return goredis.NewClient(&o) }
	for name, c := range map[string]struct {
		client goredis.UniversalClient
		fault  string
	}{
		"defaults":              {single(goredis.Options{}), "ContextTimeoutEnabled"},
		"cluster with defaults": {goredis.NewClusterClient(&goredis.ClusterOptions{}), "ContextTimeoutEnabled"},
		"failover with defaults": {
			goredis.NewFailoverClient(&goredis.FailoverOptions{MasterName: "m"}), "ContextTimeoutEnabled",
		},
		"no read deadline":  {single(goredis.Options{ContextTimeoutEnabled: true, ReadTimeout: -2}), "ReadTimeout"},
		"no write deadline": {single(goredis.Options{ContextTimeoutEnabled: true, WriteTimeout: -2}), "WriteTimeout"},
		"cluster without read deadline": {
			goredis.NewClusterClient(&goredis.ClusterOptions{ContextTimeoutEnabled: true, ReadTimeout: -2}), "ReadTimeout",
		},
		"ring":            {goredis.NewRing(&goredis.RingOptions{ContextTimeoutEnabled: true}), "Ring"},
		"unknown":         {struct{ goredis.UniversalClient }{}, "may wait longer"},
		"nothing":         {nil, "may wait longer"},
		"nil":             {(*goredis.Client)(nil), "nil"},
		"nil cluster":     {(*goredis.ClusterClient)(nil), "nil"},
		"without timeout": {single(goredis.Options{ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(c.client, Config{})
			if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
				t.Errorf("got %v, want %q", err, c.fault)
			}
			if !slices.Contains([]string{"unknown", "nothing", "nil", "nil cluster"}, name) {
				_ = c.client.Close()
			}
		})
	}
}

func TestUnusableConfigsAreRefused(t *testing.T) {
	t.Parallel()
	client := goredis.NewClient(&goredis.Options{ContextTimeoutEnabled: true})
	defer client.Close()
	for fault, c := range map[string]Config{
		"Config.Prefix \"a}b\"": {Prefix: "a}b"},
		"Config.Prefix \"a b\"": {Prefix: "a b"},
		"Config.Prefix \"a*\"":  {Prefix: "a*"},
		"Config.Prefix \"é\"":   {Prefix: "é"},
		"Config.Prefix \"xxxx":  {Prefix: strings.Repeat("x", 65)},
		"Config.Timeout 2s":     {Timeout: 2 * time.Second},
		"Config.Timeout 1µs":    {Timeout: time.Microsecond},
		"Config.Timeout -1ms":   {Timeout: -time.Millisecond},
		"Config.OpenFor -1s":    {OpenFor: -time.Second},
		"Config.Secret is too":  {Secret: []byte("short")},
		"Config.Lease -1":       {Lease: -1},
		"Config.Lease 1000000":  {Lease: 1_000_000},
	} {
		if _, err := New(client, c); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("got %v, want %s", err, fault)
		}
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef"
	c := Config{Secret: []byte(secret)}
	client := goredis.NewClient(&goredis.Options{ContextTimeoutEnabled: true})
	defer client.Close()
	s, err := New(client, c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	encoded, err := json.Marshal([]any{c, &c})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, c), fmt.Sprintf(verb, &c), fmt.Sprintf(verb, s), fmt.Sprintf(verb, s.names))
	}
	for _, text := range texts {
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), "48 49 50", "0x30, 0x31", base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(text, form) {
				t.Errorf("the secret is in %q", text)
			}
		}
	}
}
