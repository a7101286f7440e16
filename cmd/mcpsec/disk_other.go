//go:build !linux && !darwin

package main

func mayWrite(string) error { return errNoProbe }

func mayCreate(string) error { return errNoProbe }

func freeSpace(string) (space, error) { return space{}, errNoProbe }
