package app

import (
	"context"

	"github.com/registry-build/registry-build/builder"
)

// oneDaemon gives every build the same daemon: on the command line a person
// builds what is theirs.
type oneDaemon struct{ solver builder.Solver }

func (d oneDaemon) Acquire(context.Context, builder.Build) (builder.Daemon, error) {
	return builder.Daemon{Solver: d.solver, Release: func() {}}, nil
}
