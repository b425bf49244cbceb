package gitops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/gitops/manifest"
	"github.com/registry-build/registry-build/config"
)

// Options are what New needs. Dir is required; without Forges and Vault
// nothing can be written to.
type Options struct {
	Dir      string           // folder of bare, shallow clones: a cache, safe to remove while nothing runs
	Forges   map[string]Forge // by instance, as repositories name them
	Vault    builder.Vault    // for repositories that are named by their address
	Policy   []config.Policy
	Registry string                 // host of images that are stored without one
	BuildURL func(id string) string // the build's page; nil: none
	Author   Author                 // of commits
	Limit    time.Duration          // of one update with its repetitions; 0: 1 minute
	Now      func() time.Time       // nil: time.Now
	Log      *slog.Logger           // nil: discarded
}

// Author signs commits.
type Author struct{ Name, Email string }

// defaultAuthor has an address that is nobody's account at any forge.
var defaultAuthor = Author{"registry-build", "registry-build@noreply.invalid"}

// Kind writes images into git repositories.
type Kind struct {
	o Options

	mu     sync.Mutex
	queues map[string]*queue // by target.key

	// seen is the newest setting by target.key and field, also of updates that
	// had nothing to change and so left no commit.
	seen *lru.Cache[string, setting]
}

// keptSeen is how many fields seen remembers.
const keptSeen = 8192

var _ trigger.Kind = (*Kind)(nil)

// New checks the options.
func New(o Options) (*Kind, error) {
	if o.Dir == "" {
		return nil, errors.New("gitops: a folder for clones is needed")
	}
	if _, err := exec.LookPath("git"); err != nil {
		return nil, fmt.Errorf("gitops: git is not installed (apt-get install -y git): %w", err)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("gitops: %w", err)
	}
	o.Dir = dir
	o.Limit = cmp.Or(o.Limit, time.Minute)
	o.Author = cmp.Or(o.Author, defaultAuthor)
	if strings.ContainsAny(o.Author.Name+o.Author.Email, "<>\n\x00") {
		return nil, fmt.Errorf("gitops: %q cannot sign commits; write a name and an address without < and >", o.Author.Name+" "+o.Author.Email)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	seen, err := lru.New[string, setting](keptSeen)
	if err != nil {
		return nil, fmt.Errorf("gitops: %w", err)
	}
	return &Kind{o: o, queues: map[string]*queue{}, seen: seen}, nil
}

// Action implements trigger.Kind.
func (k *Kind) Action(t config.Trigger) string {
	g := t.GitOps
	if g == nil {
		return "gitops"
	}
	where := oneLine(g.Repository)
	if g.Branch != "" {
		where += " " + oneLine(g.Branch)
	}
	text := fmt.Sprintf("gitops %s: %s, %s", where, oneLine(g.File), oneLine(placeOf(g).String()))
	if g.PullRequest {
		text += ", by pull request"
	}
	return text
}

// Timeout is how long one attempt may take: a fetch and a push, and those of
// the update before it.
func (k *Kind) Timeout() time.Duration { return k.o.Limit }

func placeOf(g *config.GitOps) manifest.Place {
	return manifest.Place{Kustomize: g.Kustomize, Helm: g.Helm, Path: g.Path}
}

// Fire implements trigger.Kind. It waits for the update that its own is part
// of; when ctx ends before, the update goes on for others that are part of it.
func (k *Kind) Fire(ctx context.Context, f trigger.Firing) (trigger.Answer, error) {
	g := f.Trigger.GitOps
	if g == nil {
		return trigger.Answer{}, errors.New("the trigger names no git repository; write gitops: {repository: …, file: …}")
	}
	if ctx.Err() != nil {
		return trigger.Answer{}, trigger.Temporary(fmt.Errorf("%s was not updated: %w", g.Repository, context.Cause(ctx)), 0)
	}
	r, err := k.request(ctx, f)
	if err != nil {
		return trigger.Answer{}, err
	}
	k.join(r)
	select {
	case out := <-r.done:
		return out.answer, out.err
	case <-ctx.Done():
		return trigger.Answer{}, trigger.Temporary(fmt.Errorf("%s was not updated in time: %w", r.target, context.Cause(ctx)), 0)
	}
}

// request is one firing on its way into a file.
type request struct {
	ctx    context.Context
	f      trigger.Firing
	target target
	remote Remote // of an address
	file   string
	place  manifest.Place
	image  manifest.Image
	done   chan outcome // has room for one
}

// outcome is what became of a request.
type outcome struct {
	answer trigger.Answer
	err    error
}

// request checks what the trigger asks for, and that it may.
func (k *Kind) request(ctx context.Context, f trigger.Firing) (*request, error) {
	g := f.Trigger.GitOps
	r := &request{ctx: ctx, f: f, file: g.File, place: placeOf(g), done: make(chan outcome, 1)}
	if err := checkFile(g.File); err != nil {
		return nil, err
	}
	if g.Branch != "" && !branchName(g.Branch) {
		return nil, fmt.Errorf("%q cannot be a branch", g.Branch)
	}
	var err error
	if r.image, err = k.image(f); err != nil {
		return nil, err
	}
	if r.target, err = k.target(f); err != nil {
		return nil, err
	}
	if r.target.forge == nil {
		// For each request: another's in the same update may be let where
		// this one is not.
		r.remote, err = k.openAddress(ctx, r.target)
	}
	return r, err
}

// image is what the file is to name: by the first tag that says more than
// latest does.
func (k *Kind) image(f trigger.Firing) (manifest.Image, error) {
	if f.Record.Digest == "" || len(f.Tags) == 0 {
		return manifest.Image{}, fmt.Errorf("build %s has pushed no image to write down; let the trigger listen for pushed only", f.Record.ID)
	}
	img := manifest.Image{Repository: trigger.Image(k.o.Registry, f.Record), Tag: f.Tags[0], Digest: f.Record.Digest}
	for _, tag := range f.Tags {
		if img.Tag != "latest" {
			break
		}
		img.Tag = tag
	}
	if !imageName(img) {
		return img, fmt.Errorf("%q is no image that can be written down", img)
	}
	return img, nil
}

// imageName reports whether the image's name needs no escaping anywhere.
func imageName(img manifest.Image) bool {
	return !strings.ContainsFunc(img.String(), func(r rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/:@+", r)
	})
}

// checkFile says in a sentence why a path leads out of the repository, or into
// what git keeps for itself.
func checkFile(file string) error {
	for part := range strings.SplitSeq(file, "/") {
		if part == "" || part == "." || part == ".." || strings.EqualFold(part, ".git") || strings.ContainsAny(part, "\\\x00\n") {
			return fmt.Errorf("%q is no file of a repository; write its path from the repository's root, like apps/shop/kustomization.yaml", file)
		}
	}
	return nil
}

// branchName reports whether git takes the name for a branch's.
func branchName(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return s[0] != '-' && !strings.HasSuffix(s, ".") && !strings.Contains(s, "..") && !strings.Contains(s, "@{") && s != "@" &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) })
}

// oneLine keeps what others wrote on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
