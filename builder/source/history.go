package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

// Find implements builder.Source: in the order of the paths' bytes. Of a
// commit that takes more than 128 MiB to list, only what stands in these is
// found.
func (c *Commit) Find(ctx context.Context, limit int, match func(path string) bool) ([]string, error) {
	if limit < 1 {
		return nil, nil
	}
	var found []string
	list := &records{limit: maxListing, fn: func(record string) bool {
		// <mode> SP <type> SP <object> TAB <path>
		head, name, ok := strings.Cut(record, "\t")
		mode, _, _ := strings.Cut(head, " ")
		if k, _, known := kindOf(mode); !ok || !known || k != file || !match(name) {
			return true
		}
		found = append(found, name)
		return len(found) < limit
	}}
	err := c.git.runInto(ctx, list, "", "ls-tree", "-r", "-z", "--full-tree", c.tree)
	if err != nil && !list.stopped {
		return nil, fmt.Errorf("list %s at %s: %w", c.repo.FullName(), short(c.hash), err)
	}
	return found, nil
}

// MergeBase implements builder.History.
func (c *Commit) MergeBase(ctx context.Context, a, b string) (string, error) {
	err := c.both(ctx, a, b)
	var out []byte
	if err == nil {
		out, err = c.git.run(ctx, "", "merge-base", "--end-of-options", a, b)
	}
	var answer *gitError
	if errors.As(err, &answer) && answer.code == 1 {
		err = fmt.Errorf("they have no history in common: %w", builder.ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("merge base of %s and %s: %w", short(a), short(b), err)
	}
	base := strings.TrimSpace(string(out))
	if !objectName.MatchString(base) {
		return "", fmt.Errorf("merge base of %s and %s: git answered %q", short(a), short(b), clip(base))
	}
	return base, nil
}

// both brings both commits here, or says which is gone.
func (c *Commit) both(ctx context.Context, names ...string) error {
	for _, name := range names {
		if !objectName.MatchString(name) {
			return fmt.Errorf("%q is no commit: %w", clip(name), builder.ErrNotFound)
		}
		switch here, err := c.has(ctx, name); {
		case err != nil:
			return err
		case !here:
			return fmt.Errorf("commit %s: %w", short(name), builder.ErrNotFound)
		}
	}
	return nil
}

// records hands on what git writes, one record that ends with NUL at a time,
// until fn has enough or the limit of bytes is reached.
type records struct {
	fn      func(string) bool
	limit   int // bytes
	stopped bool

	seen int
	rest []byte
}

var errEnough = errors.New("enough was read")

func (r *records) Write(p []byte) (int, error) {
	if r.seen += len(p); r.stopped || r.seen > r.limit {
		r.stopped = true
		return 0, errEnough
	}
	data := p
	if len(r.rest) > 0 {
		data = append(r.rest, p...)
	}
	for {
		record, after, ok := bytes.Cut(data, []byte{0})
		if !ok {
			break
		}
		if data = after; !r.fn(string(record)) {
			r.stopped = true
			return 0, errEnough
		}
	}
	r.rest = append([]byte(nil), data...)
	return len(p), nil
}
