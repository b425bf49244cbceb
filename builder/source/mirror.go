package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/registry-build/registry-build/builder"
)

// mirror is a bare repository that holds what was fetched of an origin.
//
// Each commit that was fetched has a ref, refs/fetched/<commit>: it tells the
// origin what need not be sent again. Nothing in a mirror is ever collected
// as garbage, so that no reader loses an object; a mirror that nobody uses
// any more is removed whole.
type mirror struct {
	dir  string
	turn chan struct{} // one writer at a time in this process

	mu    sync.Mutex
	users int // open sources
}

// sha256Name is how long an object name of a SHA-256 repository is. The two
// formats never mix in one repository.
const sha256Name = 64

// useMirror returns the repository's mirror, made if need be, for a caller
// that will release it.
func (s *Sources) useMirror(ctx context.Context, repo builder.Repository, nameLen int) (*mirror, error) {
	// The key is somebody else's text: hashed, it is a file name.
	sum := sha256.Sum256([]byte(repo.Key()))
	name, format := hex.EncodeToString(sum[:16]), "sha1"
	if nameLen == sha256Name {
		name, format = name+"-sha256", "sha256"
	}
	dir, err := filepath.Abs(filepath.Join(s.dir, name+".git"))
	if err != nil {
		return nil, fmt.Errorf("mirror %s: %w", repo.FullName(), err)
	}
	m := s.mirrorAt(dir)
	m.mu.Lock()
	m.users++
	m.mu.Unlock()
	if err = m.touch(); errors.Is(err, os.ErrNotExist) {
		err = m.create(ctx, git{dir: dir, env: s.env}, repo, format)
	}
	if err != nil {
		m.release()
		return nil, fmt.Errorf("mirror %s: %w", repo.FullName(), err)
	}
	return m, nil
}

// mirrorAt returns the one mirror of this process for a folder, there or not.
func (s *Sources) mirrorAt(dir string) *mirror {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mirrors[dir]
	if m == nil {
		m = &mirror{dir: dir, turn: make(chan struct{}, 1)}
		s.mirrors[dir] = m
	}
	return m
}

func (m *mirror) release() {
	m.mu.Lock()
	m.users--
	m.mu.Unlock()
}

// stamp is the file that is written last when a mirror is made. It names the
// repository, and its time is when the mirror was last used.
const stamp = "registry-build"

func (m *mirror) touch() error {
	now := time.Now()
	return os.Chtimes(filepath.Join(m.dir, stamp), now, now)
}

// create makes an empty mirror. One that was left half made is made again.
func (m *mirror) create(ctx context.Context, g git, repo builder.Repository, format string) error {
	if err := os.MkdirAll(filepath.Dir(m.dir), 0o700); err != nil {
		return err
	}
	unlock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if m.touch() == nil {
		return nil // by somebody else, just now
	}
	if _, err := g.run(ctx, "", "init", "--quiet", "--bare", "--template=", "--object-format="+format); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(m.dir, stamp), []byte(repo.Key()+"\n"), 0o600)
}

// lockPoll is how often the lock of another process is tried.
const lockPoll = 20 * time.Millisecond

// lock makes the caller the only one, of all processes, that writes to the
// mirror. The lock file stands beside the mirror, which may be removed; the
// kernel frees it when a process dies.
func (m *mirror) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	file := flock.New(strings.TrimSuffix(m.dir, ".git")+".lock", flock.SetPermissions(0o600))
	if _, err := file.TryLockContext(ctx, lockPoll); err != nil {
		<-m.turn
		return nil, fmt.Errorf("lock: %w", err)
	}
	return func() {
		_ = file.Close()
		<-m.turn
	}, nil
}

// fetch brings a commit into the mirror. Its error is a *Failure when the
// origin does not have the commit.
func (c *Commit) fetch(ctx context.Context, name string) error {
	m := c.mirror
	unlock, err := m.lock(ctx)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", c.repo.FullName(), err)
	}
	defer unlock()
	// Whoever had the lock before may have fetched the same commit.
	if obj, _, err := c.objects.read(ctx, name+"^{commit}", largest); err != nil || obj.kind != "" {
		return err
	}
	if err := m.sweep(); err != nil {
		return fmt.Errorf("fetch %s: %w", c.repo.FullName(), err)
	}
	start := time.Now()
	ref := "refs/fetched/" + name
	err = c.fetchRefs(ctx, "+"+name+":"+ref)
	if refused(err) {
		// Some servers hand out only what a ref names, and what is below it.
		err = c.fetchNamed(ctx, name, err)
	}
	if err != nil {
		return fmt.Errorf("fetch %s at %s: %w", c.repo.FullName(), short(name), err)
	}
	obj, _, err := c.objects.read(ctx, name+"^{commit}", largest)
	if err != nil {
		return fmt.Errorf("fetch %s at %s: %w", c.repo.FullName(), short(name), err)
	}
	if obj.kind == "" {
		return failure("the commit %s is not in %s any more: it was deleted or replaced by a force push; push again", short(name), c.repo.FullName())
	}
	c.sources.log.DebugContext(ctx, "fetched", "repo", c.repo.FullName(), "commit", name, "took", time.Since(start))
	if err := m.tidy(ctx, c.git, name); err != nil {
		c.sources.log.WarnContext(ctx, "mirror not tidied", "repo", c.repo.FullName(), "err", err)
	}
	return nil
}

// fetchNamed fetches what the refs of the origin name, where it did not give
// out a commit by its name: branches and tags, and for a commit that only pull
// requests have, also these, as the forges name them. The latter are too many
// to ask for where the origin said that it has no such commit at all.
func (c *Commit) fetchNamed(ctx context.Context, name string, refusal error) error {
	err := c.fetchRefs(ctx, "--prune", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
	if err != nil {
		return err
	}
	obj, _, err := c.objects.read(ctx, name+"^{commit}", largest)
	var answer *gitError
	if err != nil || obj.kind != "" || !errors.As(refusal, &answer) || !strings.Contains(answer.stderr, unadvertised) {
		return err
	}
	return c.fetchRefs(ctx, "--prune", "+refs/pull/*/head:refs/pull/*/head", "+refs/merge-requests/*/head:refs/merge-requests/*/head")
}

// fetchRefs runs one git fetch from the origin.
func (c *Commit) fetchRefs(ctx context.Context, what ...string) error {
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance"}
	if what[0] == "--prune" {
		args, what = append(args, what[0]), what[1:]
	}
	_, err := c.sources.askOrigin(ctx, c.git, c.origin, append(append(args, "--", c.origin.URL), what...)...)
	return err
}

// askOrigin runs a git that talks to the origin.
func (s *Sources) askOrigin(ctx context.Context, g git, origin builder.Origin, args ...string) ([]byte, error) {
	g.env = environmentOf(origin, g.env)
	out, err := g.run(ctx, "", args...)
	var answer *gitError
	if errors.As(err, &answer) {
		answer.stderr = redact(origin, answer.stderr)
	}
	return out, err
}

// environmentOf is what git needs to know of one origin, beside what all have.
func environmentOf(o builder.Origin, all []string) []string {
	var extra [][2]string
	if o.Header != "" { // for this URL only, and not for where it redirects
		extra = append(extra, [2]string{"http." + o.URL + ".extraHeader", o.Header}, [2]string{"http.followRedirects", "false"})
	}
	if o.Proxy != "" {
		extra = append(extra, [2]string{"http." + o.URL + ".proxy", o.Proxy})
	}
	env := all
	if len(extra) > 0 {
		env = environment(os.Environ(), extra...)
	}
	if o.CA != "" { // in the environment, where ours could name another
		env = append(env[:len(env):len(env)], "GIT_SSL_CAINFO="+o.CA)
	}
	return env
}

// redact takes the origin's secrets out of what git says.
func redact(o builder.Origin, text string) string {
	if o.Header != "" {
		text = strings.ReplaceAll(text, o.Header, "***")
	}
	if u, err := url.Parse(o.URL); err == nil && u.User != nil {
		text = strings.ReplaceAll(text, o.URL, u.Redacted())
	}
	if u, err := url.Parse(o.Proxy); err == nil && u.User != nil {
		text = strings.ReplaceAll(text, o.Proxy, u.Redacted())
	}
	return text
}

// refused reports whether the origin does not give out the commit by its
// name: because no ref names it, or because it is gone.
func refused(err error) bool {
	var answer *gitError
	return errors.As(err, &answer) &&
		(strings.Contains(answer.stderr, "not our ref") || strings.Contains(answer.stderr, unadvertised))
}

// unadvertised is said of a commit that may well be there, by servers before
// version 2 of git's protocol.
const unadvertised = "unadvertised object"

// sweep removes what a git left that was killed: half a pack, and locks that
// would refuse every later fetch. The caller holds the mirror's lock.
func (m *mirror) sweep() error {
	left, err := filepath.Glob(filepath.Join(m.dir, "objects", "pack", "tmp_*"))
	if err != nil {
		return err
	}
	locks, err := filepath.Glob(filepath.Join(m.dir, "*.lock"))
	if err != nil {
		return err
	}
	left = append(left, locks...)
	err = filepath.WalkDir(filepath.Join(m.dir, "refs"), func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(name, ".lock") {
			left = append(left, name)
		}
		return err
	})
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// Each fetch leaves a pack, and readers search them all.
const manyPacks = 40

// tidy joins packs, and drops refs that a newer one makes needless, every so
// often. The caller holds the lock. No object is lost: a geometric repack
// keeps everything that was in the packs, and git looks again when a pack is
// gone.
func (m *mirror) tidy(ctx context.Context, g git, newest string) error {
	packs, err := filepath.Glob(filepath.Join(m.dir, "objects", "pack", "*.pack"))
	if err != nil || len(packs) < manyPacks {
		return err
	}
	old, err := g.run(ctx, "", "for-each-ref", "--merged="+newest, "--format=delete %(refname)", "refs/fetched/")
	if err != nil {
		return err
	}
	// The newest one stays, to stand for them all.
	deletions := strings.Replace(string(old), "delete refs/fetched/"+newest+"\n", "", 1)
	if _, err := g.run(ctx, deletions, "update-ref", "--stdin"); err != nil {
		return err
	}
	_, err = g.run(ctx, "", "repack", "--quiet", "--geometric=2", "-d")
	return err
}
