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

// The rooms of the data folder where domains' daemons have their folders.
const (
	forkRoom    = "buildkit-fork"
	trustedRoom = "buildkit-trusted"
)

// How long the cache of a domain stays that builds no more.
const (
	forkKeep    = 14 * 24 * time.Hour
	trustedKeep = 60 * 24 * time.Hour
)

// forkSettings bounds what strangers can leave on the disk.
const forkSettings = "[worker.oci]\n  gc = true\n  maxUsedSpace = \"10GB\"\n"

var errStopping = errors.New("the builder is stopping")

// daemonKey says what a daemon of ours is for.
type daemonKey struct {
	lane   builder.Lane
	domain string
}

// domainDaemon is a buildkitd that builds for one trust domain in one lane: in
// the fork lane, what others send to it.
type domainDaemon struct {
	daemonKey
	started chan struct{} // closed when it has started, or has not (err)
	err     error
	reached *reached
	stop    context.CancelFunc
	gone    chan struct{}

	users int         // guarded by daemons.mu, like idle and since
	idle  *time.Timer // runs when there are none
	since time.Time   // … from here on
}

// join starts the domain's daemon, unless it runs or is starting already.
func (d *daemons) join(key daemonKey) (*domainDaemon, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errStopping
	}
	f := d.ours[key]
	if f == nil {
		d.makeRoom()
		f = &domainDaemon{daemonKey: key, started: make(chan struct{}), gone: make(chan struct{})}
		f.idle = time.AfterFunc(d.Idle, func() { d.retire(f) })
		d.ours[key] = f
		ctx, stop := context.WithCancel(d.ctx)
		f.stop = stop
		before := d.leaving[key]
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

// makeRoom stops the daemon that has been idle for longest where as many run
// as should. The caller holds the lock.
func (d *daemons) makeRoom() {
	if len(d.ours) < d.Most {
		return
	}
	var oldest *domainDaemon
	for _, f := range d.ours {
		if f.users == 0 && (oldest == nil || f.since.Before(oldest.since)) {
			oldest = f
		}
	}
	if oldest != nil {
		oldest.idle.Stop()
		d.forget(oldest)
		oldest.stop()
	}
}

func (d *daemons) leave(f *domainDaemon) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.users--; f.users == 0 && !d.closed {
		f.since = time.Now()
		f.idle.Reset(d.Idle)
	}
}

// retire stops a daemon that nobody uses.
func (d *daemons) retire(f *domainDaemon) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.users == 0 {
		d.forget(f)
		f.stop()
	}
}

// forget makes the next who needs one start another.
func (d *daemons) forget(f *domainDaemon) {
	if d.ours[f.daemonKey] == f {
		delete(d.ours, f.daemonKey)
		d.leaving[f.daemonKey] = f.gone
	}
}

// run is the life of a domain's daemon.
func (d *daemons) run(ctx context.Context, f *domainDaemon) {
	began := time.Now()
	log := d.Log.With("lane", f.lane, "domain", f.domain)
	c, address, err := domainBuilder(d.Config, d.Dir, f.daemonKey, d.Log)
	if err != nil {
		d.failed(f, err)
		return
	}
	var unreached error
	err = c.Run(ctx, func() {
		// Not before it answers: a connection that was refused waits a while.
		if f.reached, unreached = d.reach(ctx, config.BuildKit{Address: address}, f.lane); unreached != nil {
			f.stop()
			return
		}
		log.Info("builder started", "took", time.Since(began))
		close(f.started)
	})
	if f.reached == nil {
		d.failed(f, cmp.Or(err, unreached, errStopping))
		return
	}
	log.Info("builder stopped")
	if err := f.reached.solver.Close(); err != nil {
		log.Debug("builder", "err", err)
	}
}

// failed tells those who wait; who comes after them makes another start.
func (d *daemons) failed(f *domainDaemon, err error) {
	d.Log.Error("builder did not start", "lane", f.lane, "domain", f.domain, "err", err)
	d.mu.Lock()
	d.forget(f)
	d.mu.Unlock()
	f.err = err
	close(f.started)
}

// domainBuilder is the buildkitd of one domain. One of the trusted lane is like
// the one that `up` starts: its steps have the machine's network. One for forks
// is in a network of its own, whose only way out leads to the internet, and
// does not start where that cannot be had.
func domainBuilder(cfg *config.Server, dir *dataDir, key daemonKey, log *slog.Logger) (_ *child, address string, _ error) {
	id := domainID(key.domain)
	d := daemonChild{
		name: "buildkitd-" + id, root: dir.path(trustedRoom, id), socket: dir.socket("own" + id), otel: dir.socket("otl" + id),
		settings: buildkitdSettings(cfg),
	}
	if key.lane == builder.ForkLane {
		mirrors := slices.Concat(slices.Collect(maps.Values(cfg.Registry.Mirrors))...)
		d = daemonChild{
			name: "buildkitd-fork-" + id, root: dir.path(forkRoom, id), socket: dir.socket("fork" + id), otel: dir.socket("otel" + id),
			settings: append([]byte(forkSettings), buildkitdSettings(cfg)...),
			args:     []string{"--cdi-disabled"},
			enter:    newEgress(mirrors, log).open,
		}
	}
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		return nil, "", fmt.Errorf("folder of a domain's builder: %w", err)
	}
	now := time.Now()
	if err := os.Chtimes(d.root, now, now); err != nil { // for sweep
		return nil, "", fmt.Errorf("folder of a domain's builder: %w", err)
	}
	c, err := buildkitChild(dir, log, d)
	return c, "unix://" + d.socket, err
}

// domainID names a domain in folders and sockets: 80 bits, for which nobody
// finds a second owner's name, and as long as a socket's path leaves room for.
func domainID(domain string) string {
	sum := sha256.Sum256([]byte(domain))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// sweep clears away what daemons of a process before left that was killed, and
// the caches that nobody has used for long. A daemon that still ends has its
// folder locked; it is swept at the next start.
func sweep(ctx context.Context, dir *dataDir, log *slog.Logger) {
	for room, keep := range map[string]time.Duration{forkRoom: forkKeep, trustedRoom: trustedKeep} {
		sweepRoom(ctx, dir, room, keep, log)
	}
}

func sweepRoom(ctx context.Context, dir *dataDir, room string, keep time.Duration, log *slog.Logger) {
	roots, err := filepath.Glob(dir.path(room, "*"))
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
		if err == nil && time.Since(info.ModTime()) > keep {
			err = os.RemoveAll(root)
		}
		if err != nil {
			log.Warn("left over", "folder", root, "err", err)
		}
		lock.Close()
	}
}
