package buildkit

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/moby/buildkit/client"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// Options of a Solver. Only Address is needed.
type Options struct {
	// Address of the daemon: unix:///path or tcp://host:port.
	Address string
	// Log is the operator's log; nil discards.
	Log *slog.Logger
	// Display shows progress instead of plain text in the log that Solve was
	// given; a terminal's UpdateFrom of progressui fits. nil: plain text.
	Display Display
	// Insecure names registry hosts (host or host:port) that are pushed to
	// without TLS. 127.0.0.1 and localhost need no entry.
	Insecure []string
	// Reproducible gives everything in an image's own layers one time, so that
	// they come out the same from an empty cache too. It compresses every such
	// layer again at every push, also of what is cached: measured, an image
	// with 100 MB of its own is pushed in 5 s and not in 0.1 s. Without it a
	// layer keeps its digest as long as the daemon has it cached.
	Reproducible bool
	// Lane is ForkLane for a daemon that builds what nobody trusts: every
	// request gets no more than the fork lane gives.
	Lane builder.Lane
	// Private names registry hosts (host or host:port) that builds of the fork
	// lane may not pull from, beside those that are private by their name.
	Private []string
	// Mirrored names registry hosts that builds of the fork lane may pull
	// from, whatever they are called: the operator has the daemon ask mirrors
	// for their images.
	Mirrored []string
	// TLS of a daemon behind tcp://: its authority, our certificate. The zero
	// one is none.
	TLS config.TLS
}

// Display consumes a status stream until it is closed. It is called once for
// each try of a solve.
type Display func(ctx context.Context, statuses chan *client.SolveStatus) ([]client.VertexWarning, error)

// Solver builds with one daemon. All methods may be called concurrently.
type Solver struct {
	client   *client.Client
	address  string
	log      *slog.Logger
	display  Display
	insecure map[string]bool
	lane     builder.Lane
	private  map[string]bool
	mirrored map[string]bool
	rewrite  bool // timestamps, at each export
	retry    retryPolicy
}

var _ builder.Solver = (*Solver)(nil)

func credentials(t config.TLS) []client.ClientOpt {
	var opts []client.ClientOpt
	switch {
	case t.CA != "":
		opts = append(opts, client.WithServerConfig(t.ServerName, t.CA))
	case t != config.TLS{}:
		opts = append(opts, client.WithServerConfigSystem(t.ServerName))
	}
	if t.Cert != "" {
		opts = append(opts, client.WithCredentials(t.Cert, t.Key))
	}
	return opts
}

// New makes a Solver. It does not wait for the daemon, which may start later
// and may be restarted; Ping tells whether it is there.
func New(ctx context.Context, o Options) (*Solver, error) {
	c, err := client.New(ctx, o.Address, credentials(o.TLS)...)
	if err != nil {
		return nil, fmt.Errorf("buildkit at %s: %w", o.Address, err)
	}
	s := &Solver{
		client:   c,
		address:  o.Address,
		log:      o.Log,
		display:  o.Display,
		insecure: map[string]bool{},
		lane:     o.Lane,
		private:  hostSet(o.Private),
		mirrored: hostSet(o.Mirrored),
		rewrite:  o.Reproducible,
		retry:    defaultRetry,
	}
	if s.log == nil {
		s.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	for _, host := range o.Insecure {
		s.insecure[host] = true
	}
	return s, nil
}

// Close ends the connection. Solves that run fail.
func (s *Solver) Close() error { return s.client.Close() }

// Ping reports whether the daemon answers and can run steps.
func (s *Solver) Ping(ctx context.Context) error {
	workers, err := s.client.ListWorkers(ctx)
	if err != nil {
		return fmt.Errorf("buildkit at %s: %w", s.address, err)
	}
	if len(workers) == 0 {
		return fmt.Errorf("buildkit at %s: no worker: the daemon found no way to run containers (is runc installed?)", s.address)
	}
	return nil
}

// Toolchain is what the daemon and the options here put into every input key.
// It changes when the daemon is upgraded. A daemon that was built without its
// version says v0.0.0+unknown.
func (s *Solver) Toolchain(ctx context.Context) (builder.Toolchain, error) {
	v, err := s.version(ctx)
	if err != nil {
		return builder.Toolchain{}, err
	}
	output := s.output()
	output["epoch"] = epoch
	return builder.Toolchain{
		Frontend: frontend + " " + v.DockerfileVersion,
		BuildKit: strings.TrimSpace(v.Version + " " + v.Revision),
		Output:   output,
	}, nil
}

func (s *Solver) version(ctx context.Context) (client.BuildkitVersion, error) {
	info, err := s.client.Info(ctx)
	if err != nil {
		return client.BuildkitVersion{}, fmt.Errorf("buildkit at %s: %w", s.address, err)
	}
	return info.BuildkitVersion, nil
}
