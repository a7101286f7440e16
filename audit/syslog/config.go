package syslog

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
)

// Bounds and defaults. RFC 5425, section 4.3.1: a receiver must take messages of
// 2048 bytes and should take those of 8192.
const (
	minBytes     = 2048
	defaultBytes = 8192
	maxBytes     = 1 << 20

	logAudit   = 13    // facility (RFC 5424, section 6.2.1)
	exampleNum = 32473 // enterprise number kept for documentation (RFC 5612)

	maxHostname, maxAppName, maxProcID, maxMsgID = 255, 48, 128, 32 // RFC 5424, section 6
)

// Config says where the record goes and how its messages look. Only Address is
// required.
type Config struct {
	// Address is the receiver's host and port. The port of syslog over TLS is 6514.
	Address string
	// TLS is how the receiver is verified, and with which certificate this side
	// shows who it is; nil trusts the system's roots and shows none. A ServerName
	// left empty is the host of Address, and the minimum version is TLS 1.2, while
	// 1.3 is used where the receiver can. InsecureSkipVerify is honoured: whoever
	// sets it gives the record to anybody who answers.
	TLS *tls.Config
	// AllowBareClose lets the end of TCP confirm a batch, where TLS has an alert for
	// it, because some receivers send none (rsyslog with its GnuTLS driver). Whoever
	// controls the network can then cut off the rest of a batch and have it count as
	// delivered. The sequence numbers at the receiver show such a gap.
	AllowBareClose bool
	// InsecureLoopbackTCP sends without TLS, to a relay on this machine: any address
	// that is not a loopback address is refused. The end of a connection is then not
	// authenticated either.
	InsecureLoopbackTCP bool

	// Format is the language of the text; nil means [audit.JSON].
	Format audit.Format
	// MaxBytes is the length of the longest message the receiver takes, from 2048
	// to 1 MiB; 0 means 8192. A longer one would be cut there, which leaves half a
	// record. It is sent without its text instead, with a parameter "omitted" that
	// has the length of the text, and reported as rejected.
	MaxBytes int
	// OmitBOM leaves out the byte order mark with which RFC 5424 begins a text that is
	// UTF-8 and not plain ASCII, for receivers that take it for a part of the text, as
	// rsyslog does.
	OmitBOM bool

	// Facility is from 1 to 23; 0 means 13, log audit.
	Facility int
	// EnterpriseNumber is the IANA private enterprise number after the "mcpsec@" of
	// the structured data; 0 means 32473, which is for examples and good enough as
	// long as nobody else's messages use the name.
	EnterpriseNumber uint32
	// Hostname, AppName and ProcID fill the header. Empty means the machine's name,
	// "mcpsec" and the process id. What is not printable ASCII becomes "_", and what
	// is longer than the RFC allows (255, 48 and 128 bytes) is cut.
	Hostname, AppName, ProcID string
}

// New returns the destination that c describes. It connects to nothing yet. Its
// error names every field at fault.
func New(c Config) (*Destination, error) {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, fmt.Errorf("audit/syslog: Config."+field+": "+format, args...))
	}

	host, port, err := net.SplitHostPort(c.Address)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
		fault("Address", "%q is no host and port: write it as \"siem.example.com:6514\"", c.Address)
	}
	d := &Destination{
		now: time.Now, address: c.Address, plain: c.InsecureLoopbackTCP, format: c.Format, maxBytes: c.MaxBytes,
		bom: !c.OmitBOM, bare: c.AllowBareClose,
	}
	if c.InsecureLoopbackTCP && c.TLS != nil {
		fault("TLS", "is of no use with InsecureLoopbackTCP: set one of the two")
	} else if !c.InsecureLoopbackTCP {
		d.tls = secure(c.TLS, host)
		if d.tls.MinVersion < tls.VersionTLS12 {
			fault("TLS", "MinVersion must be TLS 1.2 or later")
		}
	}
	if d.format == nil {
		d.format = audit.JSON
	}
	switch {
	case c.MaxBytes == 0:
		d.maxBytes = defaultBytes
	case c.MaxBytes < minBytes || c.MaxBytes > maxBytes:
		fault("MaxBytes", "%d is not from %d to %d", c.MaxBytes, minBytes, maxBytes)
	}
	if c.Facility < 0 || c.Facility > 23 {
		fault("Facility", "%d is not from 1 to 23 (0 means %d)", c.Facility, logAudit)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}

	if c.Facility == 0 {
		c.Facility = logAudit
	}
	if c.EnterpriseNumber == 0 {
		c.EnterpriseNumber = exampleNum
	}
	d.facility = c.Facility
	d.sdID = "mcpsec@" + strconv.FormatUint(uint64(c.EnterpriseNumber), 10)
	d.sender = c.sender()
	return d, nil
}

// secure returns a copy of the caller's configuration with what it leaves open.
func secure(conf *tls.Config, host string) *tls.Config {
	if conf = conf.Clone(); conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if conf.ServerName == "" {
		conf.ServerName = host
	}
	if conf.MinVersion == 0 {
		conf.MinVersion = tls.VersionTLS12
	}
	return conf
}

// sender returns the fields of the header that are the same for each message.
func (c *Config) sender() string {
	host := c.Hostname
	if host == "" {
		host, _ = os.Hostname() // without a name the header has "-", as the RFC wants it
	}
	b := append(appendASCII(nil, host, maxHostname), ' ')
	b = append(appendASCII(b, cmp.Or(c.AppName, "mcpsec"), maxAppName), ' ')
	return string(appendASCII(b, cmp.Or(c.ProcID, strconv.Itoa(os.Getpid())), maxProcID))
}

// appendASCII appends a field of the header: printable ASCII without spaces, and "-"
// if there is nothing.
func appendASCII(b []byte, s string, limit int) []byte {
	if s == "" {
		return append(b, '-')
	}
	for i := range min(len(s), limit) {
		if c := s[i]; c > ' ' && c < 0x7f {
			b = append(b, c)
		} else {
			b = append(b, '_')
		}
	}
	return b
}
