package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/source/sourcetest"
)

// origins is one origin for every repository.
type origins builder.Origin

func (o origins) Origin(context.Context, builder.Repository) (builder.Origin, error) {
	return builder.Origin(o), nil
}

var hello = builder.Repository{Forge: "git", ID: "acme/hello", Owner: "acme", Name: "hello"}

// open opens a commit of a repository that is read where it is.
func open(t testing.TB, r *sourcetest.Repo, rev string) *Commit {
	t.Helper()
	s := New(Options{Dir: t.TempDir(), Origins: origins{Dir: r.Dir}})
	return openIn(t, s, r.Hash(rev))
}

func openIn(t testing.TB, s *Sources, commit string) *Commit {
	t.Helper()
	src, err := s.Open(t.Context(), hello, commit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src.(*Commit)
}

// wantFailure checks that err is a Failure whose sentence holds all of want.
func wantFailure(t *testing.T, err error, want ...string) {
	t.Helper()
	var f *builder.Failure
	if !errors.As(err, &f) {
		t.Fatalf("error %v (%T) is no *Failure", err, err)
	}
	if f.Stage != builder.StageSource {
		t.Errorf("stage %q", f.Stage)
	}
	for _, w := range want {
		if !strings.Contains(f.Message, w) {
			t.Errorf("%q does not tell %q", f.Message, w)
		}
	}
}

// listing is a context as lines of mode, path and, for links, the target.
func listing(t testing.TB, c builder.Context, target string) []string {
	t.Helper()
	lines := []string{}
	err := c.Walk(t.Context(), target, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		line := d.Type().String()[:1] + " " + name
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			line = "x" + line[1:]
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func content(t testing.TB, c builder.Context, name string) string {
	t.Helper()
	f, err := c.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func mustContext(t testing.TB, c *Commit, dir, dockerfile string) builder.Context {
	t.Helper()
	x, err := c.Context(t.Context(), dir, dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestOpenRefuses(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "a"})
	s := New(Options{Dir: t.TempDir(), Origins: origins{Dir: r.Dir}})
	tests := []struct {
		name, commit string
		want         []string
	}{
		{"a branch", "main", []string{`"main"`, "full hash"}},
		{"an option", "--all", []string{"full hash"}},
		{"nothing", "", []string{"full hash"}},
		{"a commit that is gone", strings.Repeat("1", 40), []string{"111111", "acme/hello", "push again"}},
		{"a blob", r.Hash("main:a"), []string{"not in acme/hello"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.Open(t.Context(), hello, tt.commit)
			wantFailure(t, err, tt.want...)
		})
	}
}

func TestOpenTagObject(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "a"})
	r.Git("tag", "-a", "-m", "one", "v1", "main")
	c := open(t, r, "v1")
	if c.Hash() != r.Hash("main") {
		t.Errorf("opened %s, want the tag's commit %s", c.Hash(), r.Hash("main"))
	}
}

func TestOpenOriginGone(t *testing.T) {
	s := New(Options{Dir: t.TempDir(), Origins: origins{Dir: filepath.Join(t.TempDir(), "none")}})
	_, err := s.Open(t.Context(), hello, strings.Repeat("1", 40))
	wantFailure(t, err, "acme/hello is not there any more")
	if _, err := s.Resolve(t.Context(), hello, "refs/heads/main"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("Resolve: %v", err)
	}
}

func TestReadFile(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{
		"Dockerfile":        "FROM scratch\n",
		"docker/link":       sourcetest.Link("../Dockerfile"),
		"alias":             sourcetest.Link("docker"),
		"loop":              sourcetest.Link("loop"),
		"out":               sourcetest.Link("../../etc/passwd"),
		"absolute":          sourcetest.Link("/etc/passwd"),
		"dangling":          sourcetest.Link("nowhere"),
		"sub":               sourcetest.Submodule(strings.Repeat("1", 40)),
		"big":               strings.Repeat("x", 1000),
		"empty":             "",
		"lfs":               "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
		"-dash":             "dash",
		"new\nline \"q\" ü": "odd",
	})
	tests := []struct {
		name, path string
		want       string
		missing    bool
		failure    []string
	}{
		{name: "plain", path: "Dockerfile", want: "FROM scratch\n"},
		{name: "not clean", path: "./docker//../Dockerfile", want: "FROM scratch\n"},
		{name: "link", path: "docker/link", want: "FROM scratch\n"},
		{name: "through a linked folder", path: "alias/link", want: "FROM scratch\n"},
		{name: "empty", path: "empty", want: ""},
		{name: "leading dash", path: "-dash", want: "dash"},
		{name: "odd characters", path: "new\nline \"q\" ü", want: "odd"},
		{name: "missing", path: "docker/none", missing: true},
		{name: "below a file", path: "Dockerfile/none", missing: true},
		{name: "dangling link", path: "dangling", missing: true},
		{name: "folder", path: "docker", failure: []string{"docker is a folder"}},
		{name: "root", path: ".", failure: []string{"is a folder"}},
		{name: "loop", path: "loop", failure: []string{"loop", "too many symbolic links"}},
		{name: "link out", path: "out", failure: []string{"link out", "../../etc/passwd", "outside of the repository"}},
		{name: "absolute link", path: "absolute", failure: []string{"link absolute", "/etc/passwd", "outside"}},
		{name: "dots", path: "../x", failure: []string{"../x", "leaves the repository"}},
		{name: "hidden dots", path: "docker/../../x", failure: []string{"leaves the repository"}},
		{name: "absolute", path: "/Dockerfile", failure: []string{"/Dockerfile", "begins with a slash"}},
		{name: "submodule", path: "sub", failure: []string{"sub is a submodule"}},
		{name: "in a submodule", path: "sub/x", failure: []string{"sub/x", "submodule sub"}},
		{name: "too large", path: "big", failure: []string{"big has 1000 bytes", "at most 999"}},
		{name: "pointer", path: "lfs", failure: []string{"lfs is a Git LFS pointer"}},
	}
	c := open(t, r, "main")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := c.ReadFile(t.Context(), tt.path, 999)
			switch {
			case tt.missing:
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("error %v, want fs.ErrNotExist", err)
				}
			case tt.failure != nil:
				wantFailure(t, err, tt.failure...)
			case err != nil || string(got) != tt.want:
				t.Errorf("read %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestDescends(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	first := r.Hash("main")
	second := r.Commit("refs/heads/main", "second", sourcetest.Files{"a": "2"})
	other := r.Commit("refs/heads/other", "apart", sourcetest.Files{"a": "3"})
	gone := strings.Repeat("1", 40)
	c := open(t, r, "main")
	tests := []struct {
		name             string
		ancestor, commit string
		want             bool
	}{
		{"parent", first, second, true},
		{"child", second, first, false},
		{"itself", second, second, true},
		{"apart", other, second, false},
		{"ancestor gone", gone, second, false},
		{"commit gone", first, gone, false},
		{"no name", "", second, false},
		{"an option", "--all", second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := c.Descends(t.Context(), tt.ancestor, tt.commit)
			if err != nil || got != tt.want {
				t.Errorf("Descends = %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestSHA256(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a/b": "1", "l": sourcetest.Link("a/b")}, "--object-format=sha256")
	for _, origin := range []origins{{Dir: r.Dir}, {URL: "file://" + r.Dir}} {
		s := New(Options{Dir: t.TempDir(), Origins: origin})
		c := openIn(t, s, r.Hash("main"))
		if got, err := c.ReadFile(t.Context(), "l", 10); err != nil || string(got) != "1" {
			t.Errorf("read %q, %v", got, err)
		}
		if got := content(t, mustContext(t, c, "a", ""), "b"); got != "1" {
			t.Errorf("context has %q", got)
		}
	}
}

func TestEnvironmentIsClean(t *testing.T) {
	home := t.TempDir()
	config := filepath.Join(home, ".gitconfig")
	if err := os.WriteFile(config, []byte("[alias]\n\tx = y\n[user]\n\tname = leaked\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := sourcetest.New(t, sourcetest.Files{"a": "a"})
	t.Setenv("HOME", home)
	t.Setenv("GIT_CONFIG_GLOBAL", config)
	t.Setenv("GIT_DIR", "/nowhere")
	t.Setenv("GIT_TRACE", "1")
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	g := git{dir: r.Dir, env: environment(os.Environ())}
	out, err := g.run(t.Context(), "", "config", "--list", "--show-scope")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "global") || strings.HasPrefix(line, "system") {
			t.Errorf("read %s", line)
		}
	}
	if !strings.Contains(string(out), "safe.directory=*") {
		t.Error("our own settings are missing")
	}
}
