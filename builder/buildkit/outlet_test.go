package buildkit

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// line is so long that some hundred of them are more than an outlet holds.
var line = strings.Repeat("x", heldSize/100)

// gate is a log that takes nothing until it is opened.
type gate struct {
	buffer
	open chan struct{}
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.buffer.Write(p)
}

func TestOutletWaitsForASlowLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		o := newOutlet(g, time.Minute)
		go func() {
			time.Sleep(30 * time.Second) // synctest's clock
			close(g.open)
		}()
		var want strings.Builder
		for i := range 300 {
			fmt.Fprintln(o, i, line)
			fmt.Fprintln(&want, i, line)
		}
		o.Close(time.Minute)
		if g.String() != want.String() {
			t.Error("the log is not whole")
		}
	})
}

func TestOutletGivesUpOnALogThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		o := newOutlet(g, 10*time.Second)
		at := time.Now()
		for range 300 {
			fmt.Fprintln(o, line)
		}
		if took := time.Since(at); took != 10*time.Second {
			t.Errorf("took %s, want one stall", took)
		}
		close(g.open)
		synctest.Wait()
		fmt.Fprintln(o, "last")
		o.Close(time.Second)
		if log := g.String(); strings.Count(log, "some of the log was lost here") != 1 || !strings.HasSuffix(log, "\nlast\n") {
			t.Errorf("log ends %q", log[len(log)-200:])
		}
	})
}

func TestOutletAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		o := newOutlet(g, time.Hour)
		at := time.Now()
		o.Close(time.Second)
		for range 300 {
			fmt.Fprintln(o, line) // never blocks, never panics
		}
		if took := time.Since(at); took > time.Second {
			t.Errorf("took %s", took)
		}
		close(g.open)
	})
}

func TestOutletOfALogThatFails(t *testing.T) {
	r, w := io.Pipe()
	r.CloseWithError(errors.New("gone"))
	o := newOutlet(w, time.Hour)
	for range 300 {
		if _, err := fmt.Fprintln(o, line); err != nil {
			t.Fatal(err)
		}
	}
	o.Close(time.Hour)
}
