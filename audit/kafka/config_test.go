package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
)

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	good := Config{Brokers: []string{"127.0.0.1:1"}, Topic: topic, AllowPlaintext: true}
	with := func(change func(*Config)) Config {
		c := good
		change(&c)
		return c
	}
	options := func(o ...kgo.Opt) Config { return with(func(c *Config) { c.Options = o }) }
	for name, test := range map[string]struct {
		config Config
		says   []string
	}{
		"nothing":              {Config{}, []string{"Brokers", "Topic", "no TLS"}},
		"topic that is a path": {with(func(c *Config) { c.Topic = "../other" }), []string{"Topic"}},
		"topic of dots":        {with(func(c *Config) { c.Topic = ".." }), []string{"Topic"}},
		"plaintext by default": {with(func(c *Config) { c.AllowPlaintext = false }), []string{"no TLS", "AllowPlaintext"}},
		"nil option":           {options(nil), []string{"Options[0]"}},
		"broker not a host":    {with(func(c *Config) { c.Brokers = []string{"host:kafka"} }), []string{"Config", "port"}},
		"old TLS":              {options(kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS11})), []string{"TLS 1.2"}},
		"TLS and a dialer":     {options(kgo.DialTLS(), kgo.Dialer((&tls.Dialer{}).DialContext)), []string{"kafka.Config: "}},
		"leader's word":        {options(kgo.RequiredAcks(kgo.LeaderAck())), []string{"kafka.Config: "}},
		"nobody's word":        {options(kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()), []string{"RequiredAcks", "DisableIdempotentWrite"}},
		"not idempotent":       {options(kgo.DisableIdempotentWrite()), []string{"DisableIdempotentWrite"}},
		"transaction":          {options(kgo.TransactionalID("x")), []string{"TransactionalID"}},
		"consumer":             {options(kgo.ConsumeTopics("x")), []string{"only writes"}},
		"consumer of all":      {options(kgo.ConsumeTopics(".*"), kgo.ConsumeRegex()), []string{"only writes"}},
		"consumer of a part": {
			options(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"x": {0: kgo.NewOffset()}})), []string{"only writes"},
		},
		"consumer in a group": {options(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("x")), []string{"only writes"}},
		"share group":         {options(kgo.ShareGroup("g"), kgo.ConsumeTopics("x")), []string{"only writes"}},
		"several at once":     {options(kgo.DisableIdempotentWrite(), kgo.ConsumeTopics("x")), []string{"DisableIdempotentWrite", "only writes"}},
		"everything at once":  {Config{Topic: "/", Options: []kgo.Opt{kgo.DisableIdempotentWrite()}}, []string{"Brokers", "Topic", "TLS", "Idempotent"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			d, err := New(test.config)
			if err == nil {
				_ = d.Close()
				t.Fatal("accepted")
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not named: %v", part, err)
				}
			}
			if took := time.Since(begun); took > patience/3 {
				t.Errorf("took %v", took)
			}
		})
	}
}

// Options of the caller's that this package sets too do not win.
func TestOptionsThatAreOverridden(t *testing.T) {
	t.Parallel()
	c := start(t, kfake.SeedTopics(4, topic, "other"))
	d := to(t, c,
		kgo.SeedBrokers("192.0.2.1:9"), kgo.DefaultProduceTopic("other"), kgo.DefaultProduceTopicAlways(),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerLinger(time.Minute),
		kgo.MaxBufferedRecords(1), kgo.MaxBufferedBytes(10),
	)
	all := records("o", 0, 100)
	deliver(t, d, all)
	stored(t, c, all, false)
}

func TestTLSWithClientCertificateAndPassword(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // for its certificate
	web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	authority := httpx.NewAuthority(t)
	c := start(t, kfake.SeedTopics(1, topic), kfake.EnableSASL(), kfake.Superuser("PLAIN", "audit", "hunter2"), kfake.TLS(&tls.Config{
		Certificates: web.TLS.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool,
		MinVersion: tls.VersionTLS13,
	}))
	certificate := authority.Issue(t, "spiffe://example/server")
	password := func(p string) kgo.Opt { return kgo.SASL(plain.Auth{User: "audit", Pass: p}.AsMechanism()) }
	secured := func(conf *tls.Config, more kgo.Opt) *Destination {
		d, err := New(Config{Brokers: c.ListenAddrs(), Topic: topic, Options: append(quick(), kgo.DialTLSConfig(conf), more)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
	good := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}
	for name, test := range map[string]struct {
		conf     *tls.Config
		password string
		says     string
	}{
		"server nobody vouches for": {&tls.Config{Certificates: good.Certificates, MinVersion: tls.VersionTLS13}, "hunter2", "certificate"},
		"no client certificate":     {&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, "hunter2", "certificate"},
		"wrong password":            {good, "wrong-secret", "SASL"},
	} {
		d := secured(test.conf, password(test.password))
		err := failsOver(t, d, test.says, records("o", 0, 10))
		if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), test.password) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := secured(good, password("hunter2"))
	deliver(t, d, records("o", 0, 10))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		for _, v := range []any{d, d.config} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
				t.Errorf("%s shows the password: %s", verb, text)
			}
		}
	}
	if infos := c.PartitionInfos(topic); len(infos) != 1 || infos[0].HighWatermark != 10 {
		t.Errorf("stored %+v", infos)
	}
}
