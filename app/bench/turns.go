package main

import (
	"syscall"
	"time"
)

// takeTurns calls all sides once; another one begins each round, so that none
// always finds what the one before it left in the machine's caches.
func takeTurns(round int, sides ...func() error) error {
	for i := range sides {
		if err := sides[(i+round)%len(sides)](); err != nil {
			return err
		}
	}
	return nil
}

// settle writes to the disk what the side before has left in memory: the
// kernel would do it in the middle of the next side's measurement.
func settle() { syscall.Sync() }

// interval is one command, from its start to its end.
type interval struct{ began, ended time.Time }

func (i interval) took() time.Duration { return i.ended.Sub(i.began) }

func warmUp(round int) string {
	if round == 0 {
		return "  ms (warm-up, not counted)"
	}
	return "  ms"
}
