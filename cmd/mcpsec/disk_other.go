//go:build !linux && !darwin

package main

func mayCreate(string) error { return errNoProbe }

func freeSpace(string) (space, error) { return space{}, errNoProbe }
