//go:build !unix

package ratelimit

import (
	"errors"
	"os"
	"time"
)

func cpuTime() time.Duration { return 0 }

var freezeSignal = os.Interrupt

func sendSelf(os.Signal) error { return errors.New("no signals to oneself here") }
