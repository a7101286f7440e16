package sandbox

import "slices"

// SystemPaths are what [Profile.System] adds, where they exist: links on merged systems
// are kept as links. What lies below /etc is read only and never executed.
func SystemPaths() []string {
	return []string{
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
		"/etc/alternatives", "/etc/ca-certificates", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
		"/etc/locale.alias", "/etc/mime.types", "/etc/pki/tls/certs", "/etc/protocols", "/etc/services", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/timezone",
	}
}

// Controls returns all controls, in the order of a report.
func Controls() []Control { return slices.Clone(everything) }
