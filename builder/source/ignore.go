package source

import (
	"bytes"
	"context"
	"path"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/registry-build/registry-build/builder"
)

// ignoreFile is the .dockerignore that counts for a context.
type ignoreFile struct {
	name     string // in the repository; "" when there is none
	text     []byte
	patterns []string
}

// Every pattern becomes a regular expression in memory, and is held against
// every file.
const (
	maxIgnore   = 256 << 10 // bytes of an ignore file
	maxPatterns = 2000      // of an ignore file
)

// ignore finds and reads the ignore file, in the order that BuildKit's
// frontend has: the Dockerfile's own first, even if it is empty.
func (c *Commit) ignore(ctx context.Context, dir, dockerfile string) (*ignoreFile, error) {
	if dockerfile == "" {
		dockerfile = "Dockerfile"
	}
	for _, name := range []string{dockerfile + ".dockerignore", path.Join(dir, ".dockerignore")} {
		text, err := c.ReadFile(ctx, name, maxIgnore)
		if isNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f := &ignoreFile{name: path.Clean(name), text: text}
		if f.patterns, err = ignorefile.ReadAll(bytes.NewReader(text)); err != nil {
			return nil, f.failure(err)
		}
		if n := len(f.patterns); n > maxPatterns {
			return nil, failure("%s has %d patterns; at most %d are taken: name folders instead of their files", display(f.name), n, maxPatterns)
		}
		return f, nil
	}
	return &ignoreFile{}, nil
}

// failure tells which line is no pattern.
func (f *ignoreFile) failure(cause error) *builder.Failure {
	bad := failure("%s cannot be read: %v", display(f.name), cause)
	bad.File, bad.Err = f.name, cause
	n := 0
	for line := range strings.Lines(string(f.text)) {
		n++
		patterns, err := ignorefile.ReadAll(strings.NewReader(line))
		if err == nil {
			_, err = patternmatcher.New(patterns)
		}
		if err != nil {
			bad.Line = n
			bad.Message = failure("%s line %d: %q is no pattern: %v", display(f.name), n, clip(strings.TrimSpace(line)), err).Message
			break
		}
	}
	return bad
}
