package plaingit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// Instance is the forge's name in events and repository keys.
const Instance = "git"

// maxSocket is what the kernel allows for the path of a unix socket, in bytes,
// without the closing zero.
const maxSocket = 107

// Options are what New needs. All but Create, Every and Log are required.
type Options struct {
	Root       string // folder of the bare repositories: <owner>/<name>.git
	RunDir     string // folder of the socket and the hook links; its path is short
	HookBinary string // our own executable, which calls RunHook when started as a hook
	Store      Store
	Access     Access
	URL        func() string // how people reach the server, without a slash at the end
	Create     bool          // a push to a repository that is not there makes it
	Every      time.Duration // between reconciliations; 0 means a minute
	Log        *slog.Logger
}

// Forge serves the repositories of one folder. Its methods may be called
// concurrently.
type Forge struct {
	opts   Options
	log    *slog.Logger
	git    string // path of the git executable
	hooks  string // folder with pre-receive and post-receive
	socket string

	stopping context.Context // ended by Detach
	stop     context.CancelFunc

	creating sync.Mutex // one repository is made or taken back at a time

	mu       sync.Mutex
	pushes   map[string]*push         // by token
	locks    map[string]chan struct{} // by owner/name; held by sending
	accepted sync.WaitGroup           // pushes between their two hooks
}

var _ forge.Origin = (*Forge)(nil)

// New prepares the folders. It opens nothing that must be closed: Run does.
func New(o Options) (*Forge, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("git remote: git is not installed (apt-get install git): %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	for _, p := range []*string{&o.Root, &o.RunDir, &o.HookBinary} {
		if *p, err = filepath.Abs(*p); err != nil {
			return nil, fmt.Errorf("git remote: %w", err)
		}
	}
	f := &Forge{
		opts:   o,
		log:    o.Log,
		git:    git,
		hooks:  filepath.Join(o.RunDir, "hooks"),
		socket: filepath.Join(o.RunDir, "hook.sock"),
		pushes: make(map[string]*push),
		locks:  make(map[string]chan struct{}),
	}
	if n := len(f.socket); n > maxSocket {
		return nil, fmt.Errorf("git remote: socket path %s has %d bytes, the kernel allows %d: choose a shorter data folder", f.socket, n, maxSocket)
	}
	f.stopping, f.stop = context.WithCancel(context.Background())
	if err := f.prepare(); err != nil {
		return nil, fmt.Errorf("git remote: %w", err)
	}
	return f, nil
}

// prepare makes the folders, the hook links and the empty repository whose
// advertisement stands for repositories that a push will make.
func (f *Forge) prepare() error {
	for _, dir := range []string{f.opts.Root, f.opts.RunDir, f.hooks} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for _, name := range []string{preReceive, postReceive} {
		if err := relink(f.opts.HookBinary, filepath.Join(f.hooks, name)); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(f.empty(), "HEAD")); errors.Is(err, os.ErrNotExist) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return f.initBare(ctx, f.empty())
	}
	return nil
}

// empty is never pushed to: no owner begins with a dot.
func (f *Forge) empty() string { return filepath.Join(f.opts.Root, ".empty.git") }

// relink replaces a link in one step, so that a hook that starts meanwhile
// finds the old or the new one.
func relink(target, link string) error {
	next := link + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, next); err != nil {
		return err
	}
	return os.Rename(next, link)
}

// Origin returns the folder of the bare repository, builder.ErrNotFound when
// there is none.
func (f *Forge) Origin(_ context.Context, repo builder.Repository) (builder.Origin, error) {
	r, err := f.repository(repo.ID)
	if err != nil {
		return builder.Origin{}, fmt.Errorf("repository %q: %w: %w", repo.ID, builder.ErrNotFound, err)
	}
	if err := r.check(); err != nil {
		return builder.Origin{}, fmt.Errorf("repository %s: %w", r.path, err)
	}
	return builder.Origin{Dir: r.dir}, nil
}
