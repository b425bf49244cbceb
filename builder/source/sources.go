package source

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/registry-build/registry-build/builder"
)

// Origins knows where repositories are. It may be called concurrently.
type Origins interface {
	// Origin is asked each time that a commit is opened, so a short-lived
	// token in Header is fresh.
	Origin(ctx context.Context, repo builder.Repository) (builder.Origin, error)
}

// Options are what Sources needs from outside.
type Options struct {
	Dir     string // of the mirrors; made when it is first needed
	Origins Origins
	Log     *slog.Logger // nil: discarded
}

// Sources opens commits. All methods may be called concurrently, and several
// processes may share Options.Dir.
type Sources struct {
	dir     string
	origins Origins
	log     *slog.Logger
	env     []string

	mu      sync.Mutex
	mirrors map[string]*mirror // by path

	indexes *lru.Cache[string, *index]
}

var _ builder.Sources = (*Sources)(nil)

// Contexts that were made are kept for the images of one commit that share a
// folder, and for retries: at most this many, and none with more files.
const (
	keptIndexes    = 16
	keptIndexFiles = 20_000
)

// New makes Sources. It touches neither the disk nor git.
func New(o Options) *Sources {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	indexes, err := lru.New[string, *index](keptIndexes)
	if err != nil {
		panic(err) // only a size below 1 is an error
	}
	return &Sources{
		dir:     o.Dir,
		origins: o.Origins,
		log:     log,
		env:     environment(os.Environ()),
		mirrors: map[string]*mirror{},
		indexes: indexes,
	}
}

// Object names as git writes them: SHA-1 or SHA-256.
var objectName = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// Open implements builder.Sources. An annotated tag's object may stand for
// its commit. The source, with the processes behind it, lives until Close or
// until ctx ends, whichever is first. The concrete type is *Commit.
func (s *Sources) Open(ctx context.Context, repo builder.Repository, commit string) (builder.Source, error) {
	if !objectName.MatchString(commit) {
		return nil, failure("%q is no commit of %s: give its full hash, 40 or 64 hexadecimal digits in lower case", clip(commit), repo.FullName())
	}
	origin, err := s.origins.Origin(ctx, repo)
	if err != nil {
		return nil, fmt.Errorf("find the origin of %s: %w", repo.FullName(), err)
	}
	c := &Commit{sources: s, repo: repo, origin: origin}
	if origin.Dir != "" {
		if c.git, err = s.at(origin.Dir); isNotFound(err) {
			f := failure("the repository %s is not there any more", repo.FullName())
			f.Err = err
			return nil, f
		} else if err != nil {
			return nil, fmt.Errorf("open %s: %w", repo.FullName(), err)
		}
	} else {
		if c.mirror, err = s.useMirror(ctx, repo, len(commit)); err != nil {
			return nil, err
		}
		c.git = git{dir: c.mirror.dir, env: s.env}
	}
	c.objects = newObjects(ctx, c.git)
	if err := c.load(ctx, commit); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// failure is an error that the person who pushed can mend.
func failure(format string, args ...any) *builder.Failure {
	return &builder.Failure{Stage: builder.StageSource, Message: fmt.Sprintf(format, args...)}
}

// short is a commit's hash as every room writes it in sentences.
func short(commit string) string { return commit[:min(len(commit), 6)] }

// clip keeps what a person sent from filling a message.
func clip(s string) string {
	if r := []rune(s); len(r) > 100 {
		return string(r[:100]) + "…"
	}
	return s
}
