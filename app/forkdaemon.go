package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

const (
	forkRoom = "buildkit-fork"
	// forkKeep is how long the cache of a domain stays that sends no forks any
	// more.
	forkKeep = 14 * 24 * time.Hour
	// forkSettings bounds what strangers can leave on the disk.
	forkSettings = "[worker.oci]\n  gc = true\n  maxUsedSpace = \"10GB\"\n"
)

var errStopping = errors.New("the builder is stopping")

// forkDaemon is a buildkitd that builds what forks of one trust domain send.
type forkDaemon struct {
	domain  string
	started chan struct{} // closed when it has started, or has not (err)
	err     error
	reached *reached
	stop    context.CancelFunc
	gone    chan struct{}

	users int         // guarded by daemons.mu, like idle
	idle  *time.Timer // runs when there are none
}

// join starts the domain's daemon, unless it runs or is starting already.
func (d *daemons) join(domain string) (*forkDaemon, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errStopping
	}
	f := d.forks[domain]
	if f == nil {
		f = &forkDaemon{domain: domain, started: make(chan struct{}), gone: make(chan struct{})}
		f.idle = time.AfterFunc(d.Idle, func() { d.retire(f) })
		d.forks[domain] = f
		ctx, stop := context.WithCancel(d.ctx)
		f.stop = stop
		before := d.leaving[domain]
		d.running.Go(func() {
			defer close(f.gone)
			defer stop()
			if before != nil {
				<-before // it has the same folder
			}
			d.run(ctx, f)
		})
	}
	f.idle.Stop()
	f.users++
	return f, nil
}

func (d *daemons) leave(f *forkDaemon) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.users--; f.users == 0 && !d.closed {
		f.idle.Reset(d.Idle)
	}
}

// retire stops a daemon that nobody uses.
func (d *daemons) retire(f *forkDaemon) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.users == 0 {
		d.forget(f)
		f.stop()
	}
}

// forget makes the next who needs one start another.
func (d *daemons) forget(f *forkDaemon) {
	if d.forks[f.domain] == f {
		delete(d.forks, f.domain)
		d.leaving[f.domain] = f.gone
	}
}

// run is the life of a fork's daemon.
func (d *daemons) run(ctx context.Context, f *forkDaemon) {
	began := time.Now()
	c, address, err := forkBuilder(d.Config, d.Dir, f.domain, d.Log)
	if err != nil {
		d.failed(f, err)
		return
	}
	var unreached error
	err = c.Run(ctx, func() {
		// Not before it answers: a connection that was refused waits a while.
		if f.reached, unreached = d.reach(ctx, config.BuildKit{Address: address}, builder.ForkLane); unreached != nil {
			f.stop()
			return
		}
		d.Log.Info("builder for forks started", "domain", f.domain, "took", time.Since(began))
		close(f.started)
	})
	if f.reached == nil {
		d.failed(f, cmp.Or(err, unreached, errStopping))
		return
	}
	d.Log.Info("builder for forks stopped", "domain", f.domain)
	if err := f.reached.solver.Close(); err != nil {
		d.Log.Debug("builder for forks", "domain", f.domain, "err", err)
	}
}

// failed tells those who wait; who comes after them makes another start.
func (d *daemons) failed(f *forkDaemon, err error) {
	d.Log.Error("builder for forks", "domain", f.domain, "err", err)
	d.mu.Lock()
	d.forget(f)
	d.mu.Unlock()
	f.err = err
	close(f.started)
}

// forkBuilder is a buildkitd in a network of its own, whose only way out leads
// to the internet. It does not start where that cannot be had.
func forkBuilder(cfg *config.Server, dir *dataDir, domain string, log *slog.Logger) (_ *child, address string, _ error) {
	id := forkID(domain)
	root := dir.path(forkRoom, id)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, "", fmt.Errorf("folder of the builder for forks: %w", err)
	}
	now := time.Now()
	if err := os.Chtimes(root, now, now); err != nil { // for sweepForks
		return nil, "", fmt.Errorf("folder of the builder for forks: %w", err)
	}
	mirrors := slices.Concat(slices.Collect(maps.Values(cfg.Registry.Mirrors))...)
	socket := dir.socket("fork" + id)
	c, err := buildkitChild(dir, log, daemonChild{
		name: "buildkitd-fork-" + id, root: root, socket: socket, otel: dir.socket("otel" + id),
		settings: append([]byte(forkSettings), buildkitdSettings(cfg)...),
		args:     []string{"--cdi-disabled"},
		enter:    newEgress(mirrors, log).open,
	})
	return c, "unix://" + socket, err
}

// forkID names a domain in folders and sockets: 80 bits, for which nobody
// finds a second owner's name, and as long as a socket's path leaves room for.
func forkID(domain string) string {
	sum := sha256.Sum256([]byte(domain))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// sweepForks clears away what daemons of a process before left that was
// killed, and the caches that nobody has used for long. A daemon that still
// ends has its folder locked; it is swept at the next start.
func sweepForks(ctx context.Context, dir *dataDir, log *slog.Logger) {
	roots, err := filepath.Glob(dir.path(forkRoom, "*"))
	if err != nil || len(roots) == 0 {
		return
	}
	runc, err := dir.find("runc")
	if err != nil {
		return
	}
	for _, root := range roots {
		info, err := os.Stat(root) // first: what is done below may change its time
		if err != nil {
			continue
		}
		lock, err := lockFile(ctx, filepath.Join(root, ".lock"), 0)
		if err != nil {
			continue
		}
		err = clearLeftovers(ctx, runc, root)
		if err == nil && time.Since(info.ModTime()) > forkKeep {
			err = os.RemoveAll(root)
		}
		if err != nil {
			log.Warn("left over", "folder", root, "err", err)
		}
		lock.Close()
	}
}
