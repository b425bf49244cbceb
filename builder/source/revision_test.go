package source

import (
	"errors"
	"fmt"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/source/sourcetest"
)

func TestResolve(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	first := r.Hash("main")
	second := r.Commit("refs/heads/feature/-x", "second", sourcetest.Files{"a": "2"})
	r.Git("tag", "-a", "-m", "one", "v1", "main")
	r.Git("tag", "-a", "-m", "of a tag", "v1-again", "v1")
	r.Git("tag", "blob", r.Hash("main:a"))
	tests := []struct {
		name, rev, want string
	}{
		{"branch", "refs/heads/main", first},
		{"branch with odd characters", "refs/heads/feature/-x", second},
		{"annotated tag", "refs/tags/v1", first},
		{"tag of a tag", "refs/tags/v1-again", first},
		{"prefix", second[:7], second},
		{"hash", first, first},
		{"missing branch", "refs/heads/none", ""},
		{"folder of branches", "refs/heads/feature", ""},
		{"part of a name", "refs/heads/mai", ""},
		{"missing prefix", "0000000", ""},
		{"missing hash", "0000000000000000000000000000000000000000", ""},
	}
	for i, o := range []origins{{Dir: r.Dir}, {URL: "file://" + r.Dir}} {
		s := New(Options{Dir: t.TempDir(), Origins: o})
		for _, tt := range tests {
			t.Run(fmt.Sprint(tt.name, i), func(t *testing.T) {
				got, err := s.Resolve(t.Context(), hello, tt.rev)
				if got != tt.want || (tt.want == "") != errors.Is(err, builder.ErrNotFound) {
					t.Errorf("Resolve(%q) = %q, %v; want %q", tt.rev, got, err, tt.want)
				}
			})
		}
		for _, rev := range []string{"", "main", "--all", "HEAD", "abc", "refs/heads/main~1", "refs/heads/*", "refs/heads/main^{tree}", "refs/heads/../x", "refs/heads/a\nb", first[:6]} {
			_, err := s.Resolve(t.Context(), hello, rev)
			wantFailure(t, err, "names no commit of acme/hello")
		}
	}
	local := New(Options{Dir: t.TempDir(), Origins: origins{Dir: r.Dir}})
	if got, err := local.Resolve(t.Context(), hello, "refs/tags/blob"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("a tag of a file resolves to %q, %v", got, err)
	}
}
