//go:build linux

package telemetry

var Decode = decode
