package config

import (
	"strings"
	"testing"

	"github.com/distribution/reference"
)

// What is accepted here must be a name to everybody who uses it later: the
// planner and the registry clients go by this library.
func FuzzRepository(f *testing.F) {
	for _, s := range []string{
		"app", "acme/api", "registry.example.com/acme/api", "localhost/x", "localhost:5000/x", "127.0.0.1:80/a", "[::1]:5000/x",
		"Registry.Example.com/acme/api", "a..b/c", "a.-b/c", "-a.b/c", "a_b.c/d", "[::A]/x", "a.b:/c", "a.b:123456/c", "a/b_c__d/e--f/g.h",
		"a/b___c", "a//b", "/a", "a/", "a/b:tag", "a/b@sha256:00", "ä/b", "a/b\n", strings.Repeat("a/", 127) + "ab",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for what, err := range map[string]error{"repository": checkRepository(s), "default registry": checkRegistry(s)} {
			name := s
			if what == "default registry" {
				name += "/acme/api"
			}
			_, refused := reference.WithName(name)
			if err == nil && (refused != nil || strings.ToLower(name) != name) && len(name) < 255 {
				t.Errorf("%s %q is accepted here and not there: %v", what, s, refused)
			}
		}
	})
}
