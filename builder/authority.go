package builder

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/registry-build/registry-build/config"
)

// openCommit is a commit that is open, with its build file.
type openCommit struct {
	Source
	hash string
	file fileAt
}

// fileAt is a commit's build file, as far as there is one: parsed is nil
// where there is none, and where it has mistakes.
type fileAt struct {
	parsed   *config.BuildFile
	mistakes config.Diagnostics
	text     []byte
}

// authority is the file as what decides over others: one that cannot be read
// allows nothing.
func (f fileAt) authority() *config.BuildFile {
	if f.parsed == nil {
		return &config.BuildFile{}
	}
	return f.parsed
}

// open opens a commit and reads its build file.
func (d *Dispatcher) open(ctx context.Context, repo Repository, hash string) (*openCommit, error) {
	src, err := d.Sources.Open(ctx, repo, hash)
	if err != nil {
		return nil, err
	}
	c := &openCommit{Source: src, hash: hash}
	text, err := src.ReadFile(ctx, config.BuildFileName, maxReadFile)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		src.Close()
		return nil, err
	}
	c.file.text = text
	c.file.parsed, c.file.mistakes = config.ParseBuildFile(config.BuildFileName, text)
	if len(c.file.mistakes) > 0 {
		c.file.parsed = nil
	}
	return c, nil
}

// openRef opens what a ref names now. ErrNotFound.
func (d *Dispatcher) openRef(ctx context.Context, repo Repository, ref string) (*openCommit, error) {
	hash, err := d.Sources.Resolve(ctx, repo, ref)
	if err != nil {
		return nil, err
	}
	return d.open(ctx, repo, hash)
}

func defaultRef(repo Repository) string { return branchRef(repo.DefaultBranch) }

func branchRef(name string) string { return "refs/heads/" + name }

// trusted returns the file that credentials, triggers and other image
// repositories are read from: nil where the event's own file has that
// authority, because its ref has or because it is the default branch's file to
// the byte; else the default branch's. So nobody deploys by editing the file
// on a feature branch.
func (d *Dispatcher) trusted(ctx context.Context, e Event, own fileAt) (*config.BuildFile, error) {
	byRef := e.Kind == BranchPushed || e.Kind == Requested
	if byRef && (e.Protected || e.Ref == defaultRef(e.Repository)) {
		return nil, nil
	}
	file, err := d.defaultFile(ctx, e.Repository)
	if err != nil {
		return nil, err
	}
	if file.parsed != nil && bytes.Equal(file.text, own.text) {
		return nil, nil
	}
	forge := d.Forges[e.Repository.Forge]
	if byRef && forge != nil && strings.HasPrefix(e.Ref, branchRef("")) {
		protected, err := forge.Protected(ctx, e.Repository, e.Ref)
		switch {
		case errors.Is(err, ErrDenied): // not protected, as far as we may know
		case err != nil || protected:
			return nil, err
		}
	}
	return file.authority(), nil
}

// defaultFile is the default branch's build file.
func (d *Dispatcher) defaultFile(ctx context.Context, repo Repository) (fileAt, error) {
	c, err := d.openRef(ctx, repo, defaultRef(repo))
	if errors.Is(err, ErrNotFound) {
		return fileAt{}, nil
	}
	if err != nil {
		return fileAt{}, err
	}
	defer c.Close()
	return c.file, nil
}
