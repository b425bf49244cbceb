package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"

	"github.com/registry-build/registry-build/builder/source/sourcetest"
)

func TestContextShows(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{
		"Dockerfile":          "FROM scratch\n",
		"a.txt":               "dot",
		"a/b.txt":             "in a folder",
		"a-b":                 "dash",
		"bin/run":             sourcetest.Exec("#!/bin/sh\n"),
		"bin/abs":             sourcetest.Link("/usr/bin/run"),
		"svc/go.mod":          "module x\n",
		"svc/shared":          sourcetest.Link("../a"),
		"svc-link":            sourcetest.Link("svc"),
		" lead":               "space",
		"-n":                  "dash",
		"nl\nq\"ü\xff\\t":     "odd",
		"deep/er/est/file.md": "deep",
	})
	c := open(t, r, "main")
	tests := []struct {
		name, dir, target string
		want              []string
	}{
		{"root", "", "", []string{
			"-  lead", "- -n", "- Dockerfile", "d a", "- a/b.txt", "- a-b", "- a.txt", "d bin", "L bin/abs", "x bin/run",
			"d deep", "d deep/er", "d deep/er/est", "- deep/er/est/file.md", "- nl\nq\"ü\xff\\t",
			"d svc", "- svc/go.mod", "L svc/shared", "L svc-link"}},
		{"slash is the root", "svc", "/", []string{"- go.mod", "L shared"}},
		{"dot is the root", "svc", ".", []string{"- go.mod", "L shared"}},
		{"by a link", "svc-link", "", []string{"- go.mod", "L shared"}},
		{"folder below", ".", "deep/er", []string{"d deep/er", "d deep/er/est", "- deep/er/est/file.md"}},
		{"target with a slash", ".", "/a", []string{"d a", "- a/b.txt"}},
		{"file", ".", "/a.txt", []string{"- a.txt"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := listing(t, mustContext(t, c, tt.dir, ""), tt.target)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if got := content(t, mustContext(t, c, ".", ""), "nl\nq\"ü\xff\\t"); got != "odd" {
		t.Errorf("read %q", got)
	}
	if got := content(t, mustContext(t, c, ".", ""), "/a/b.txt"); got != "in a folder" {
		t.Errorf("read %q", got)
	}
}

// The receiver refuses any other order than that of its own validator.
func TestWalkOrder(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a/b": "", "a.b": "", "a-b/c": "", "a!": "", "a": sourcetest.Gone, "a b/x/y": "", "a b.x": ""})
	var v fsutil.Validator
	x := mustContext(t, open(t, r, "main"), "", "")
	err := x.Walk(t.Context(), "/", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return v.HandleChange(fsutil.ChangeKindAdd, name, info, nil)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWalkStops(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a/1": "", "a/2": "", "a/b/3": "", "c": "", "d/4": "", "d/5": ""})
	x := mustContext(t, open(t, r, "main"), "", "")
	boom := errors.New("boom")
	tests := []struct {
		name, target, at string
		answer           error
		want             []string
		err              error
	}{
		{"skip a folder", "", "a", fs.SkipDir, []string{"a", "c", "d", "d/4", "d/5"}, nil},
		{"skip a file's folder", "", "a/1", fs.SkipDir, []string{"a", "a/1", "c", "d", "d/4", "d/5"}, nil},
		{"skip at the root", "", "c", fs.SkipDir, []string{"a", "a/1", "a/2", "a/b", "a/b/3", "c"}, nil},
		{"skip the target", "d", "d", fs.SkipDir, []string{"d"}, nil},
		{"skip all", "", "a/b", fs.SkipAll, []string{"a", "a/1", "a/2", "a/b"}, nil},
		{"fail", "", "a/1", boom, []string{"a", "a/1"}, boom},
		{"missing", "none", "none", fs.SkipDir, []string{"none"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			err := x.Walk(t.Context(), tt.target, func(name string, _ fs.DirEntry, err error) error {
				got = append(got, name)
				if name == tt.at {
					return tt.answer
				}
				return err
			})
			if err != tt.err {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Walk(ctx, "", func(string, fs.DirEntry, error) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled walk: %v", err)
	}
}

func TestTimes(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"same": "1", "changed": "1", "dir/x": "1"})
	old := open(t, r, "main")
	r.Commit("refs/heads/main", "next", sourcetest.Files{"changed": "2"})
	times := func(c *Commit) map[string]int64 {
		got := map[string]int64{}
		err := mustContext(t, c, "", "").Walk(t.Context(), "", func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil {
				got[name] = info.Sys().(*types.Stat).ModTime
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	before, after := times(old), times(open(t, r, "main"))
	for name, ns := range after {
		if ns/1e9 != 946684800 {
			t.Errorf("%s: %d whole seconds", name, ns/1e9)
		}
		if same := before[name] == ns; same != (name != "changed") {
			t.Errorf("%s: time %d, before %d", name, ns, before[name])
		}
	}
}

func TestIgnore(t *testing.T) {
	base := sourcetest.Files{
		"Dockerfile": "FROM scratch\n", "docs/a.md": "", "docs/keep.md": "", "docs/pic.png": "", "src/x.go": "",
		"src/x_test.go": "", "build/Dockerfile": "", "build/out/x": "", "README.md": "",
	}
	tests := []struct {
		name, dir, dockerfile string
		files                 sourcetest.Files
		want                  []string
	}{
		{"none", "docs", "Dockerfile", nil, []string{"a.md", "keep.md", "pic.png"}},
		{"exceptions", ".", "Dockerfile", sourcetest.Files{".dockerignore": "# all\n**\n!docs/keep.md\n!/src\nsrc/*_test.go\n"},
			[]string{"docs", "docs/keep.md", "src", "src/x.go"}},
		{"folders stay empty", "docs", "", sourcetest.Files{"docs/.dockerignore": "**/*.md\nsub/*\n", "docs/sub/x": ""},
			[]string{".dockerignore", "pic.png", "sub"}},
		{"the Dockerfile's own wins", "docs", "build/Dockerfile", sourcetest.Files{
			"docs/.dockerignore": "*", "build/Dockerfile.dockerignore": "*.md\n"},
			[]string{".dockerignore", "pic.png"}},
		{"even if empty", "docs", "build/Dockerfile", sourcetest.Files{"docs/.dockerignore": "*", "build/Dockerfile.dockerignore": ""},
			[]string{".dockerignore", "a.md", "keep.md", "pic.png"}},
		{"another Dockerfile's does not count", "docs", "Dockerfile", sourcetest.Files{"build/Dockerfile.dockerignore": "*"},
			[]string{"a.md", "keep.md", "pic.png"}},
		{"the root's does not count for a folder", "docs", "Dockerfile", sourcetest.Files{".dockerignore": "*"},
			[]string{"a.md", "keep.md", "pic.png"}},
		{"it may leave itself out", "docs", "", sourcetest.Files{"docs/.dockerignore": ".dockerignore\n*.md"},
			[]string{"pic.png"}},
		{"submodules and pointers", "docs", "", sourcetest.Files{"docs/.dockerignore": "sub\nbig\n*.md\n.dockerignore",
			"docs/sub": sourcetest.Submodule(strings.Repeat("1", 40)), "docs/big": pointer}, []string{"pic.png"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := sourcetest.New(t, base)
			if tt.files != nil {
				r.Commit("refs/heads/main", "more", tt.files)
			}
			x := mustContext(t, open(t, r, "main"), tt.dir, tt.dockerfile)
			got := []string{}
			for _, l := range listing(t, x, "/") {
				got = append(got, l[2:])
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if !slices.Contains(got, "a.md") {
				if _, err := x.Open("a.md"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("opened what is ignored: %v", err)
				}
			}
		})
	}
}

const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"

func TestContextRefuses(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{
		"file":                  "x",
		"module":                sourcetest.Submodule(strings.Repeat("1", 40)),
		"holds/vendor/lib":      sourcetest.Submodule(strings.Repeat("1", 40)),
		"lfs/art/one.psd":       pointer,
		"lfs4/1":                pointer,
		"lfs4/2":                pointer,
		"lfs4/3":                pointer,
		"lfs4/4":                pointer,
		"out":                   sourcetest.Link("../elsewhere"),
		"bad/.dockerignore":     "# fine\nok\n[a\n",
		"bang/.dockerignore":    "!\n",
		"many/.dockerignore":    strings.Repeat("some/**/file?\n", maxPatterns+1),
		"linked/.dockerignore":  sourcetest.Link("/etc/passwd"),
		"talks/about/lfs.md":    "see version https://git-lfs.github.com/spec/v1\n",
		"long/" + "lfs.example": pointer + strings.Repeat("x", 200),
	})
	tests := []struct {
		name, dir string
		want      []string
	}{
		{"missing", "none", []string{"context none is not there", "relative to the root"}},
		{"file", "file", []string{"context file is a file"}},
		{"leaves", "../x", []string{"../x leaves the repository"}},
		{"absolute", "/srv", []string{"/srv begins with a slash"}},
		{"link out", "out", []string{"link out points to ../elsewhere, outside"}},
		{"submodule", "module", []string{"module is a submodule"}},
		{"in a submodule", "module/x", []string{"submodule module"}},
		{"holds a submodule", "holds", []string{"submodule holds/vendor/lib", ".dockerignore"}},
		{"pointer", "lfs", []string{"lfs/art/one.psd is a Git LFS pointer", ".dockerignore"}},
		{"pointers", "lfs4", []string{"lfs4/1, lfs4/2, lfs4/3 and 1 more are Git LFS pointers"}},
		{"bad pattern", "bad", []string{`bad/.dockerignore line 3: "[a" is no pattern`}},
		{"bare exception", "bang", []string{`bang/.dockerignore line 1`}},
		{"too many patterns", "many", []string{"many/.dockerignore has 2001 patterns", "2000"}},
		{"ignore file elsewhere", "linked", []string{"link linked/.dockerignore points to /etc/passwd"}},
	}
	c := open(t, r, "main")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Context(t.Context(), tt.dir, "Dockerfile")
			wantFailure(t, err, tt.want...)
		})
	}
	mustContext(t, c, "talks", "")
	mustContext(t, c, "long", "")
}

// Trees that hold one another many times over are a small repository and an
// endless list of files.
func TestContextOfTreeBomb(t *testing.T) {
	r := sourcetest.New(t, nil)
	r.Bomb("refs/heads/main", 12)
	c := open(t, r, "main")
	_, err := c.Context(t.Context(), ".", "")
	wantFailure(t, err, "context . holds too many files", "128 MiB")
}

func TestContextOfLongLinks(t *testing.T) {
	target := strings.Repeat("x", maxTarget)
	x := &index{}
	for range maxTargets/maxTarget + 1 {
		x.entries = append(x.entries, entry{kind: link, size: int64(len(target))})
	}
	wantFailure(t, (&Commit{}).complete(t.Context(), ".", x), "symbolic links have 67112960 bytes")
}

// Links are files like others until somebody follows one.
func TestLinksOut(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{
		"x":           "",
		"svc/up":      sourcetest.Link("../x"),
		"svc/abs":     sourcetest.Link("/etc/localtime"),
		"svc/clamped": sourcetest.Link("/real"),
		"svc/real":    "here",
		"svc/in/back": sourcetest.Link("../real"),
	})
	x := mustContext(t, open(t, r, "main"), "svc", "")
	if diff := cmp.Diff([]string{"L abs", "L clamped", "d in", "L in/back", "- real", "L up"}, listing(t, x, "")); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
	follow := func(names ...string) error {
		_, err := fsutil.FollowLinks(x, names) // what BuildKit does with the sources of a COPY
		return err
	}
	if err := follow("clamped", "in/back", "real", "none", "in"); err != nil {
		t.Error(err)
	}
	wantFailure(t, follow("up"), "link svc/up points to ../x, outside of the context")
	wantFailure(t, follow("abs"), "link svc/abs points to /etc/localtime, outside of the context")
}

func TestHash(t *testing.T) {
	base := sourcetest.Files{"svc/a": "1", "svc/run": "x", "svc/l": sourcetest.Link("a"), "svc/.dockerignore": "*.md\n.dockerignore", "svc/x.md": "1", "other": "1"}
	tests := []struct {
		name   string
		change sourcetest.Files
		same   bool
	}{
		{"outside of the context", sourcetest.Files{"other": "2"}, true},
		{"ignored", sourcetest.Files{"svc/x.md": "2"}, true},
		{"ignore file that ignores itself", sourcetest.Files{"svc/.dockerignore": "# new\n*.md\n.dockerignore"}, true},
		{"content", sourcetest.Files{"svc/a": "2"}, false},
		{"mode", sourcetest.Files{"svc/run": sourcetest.Exec("x")}, false},
		{"name", sourcetest.Files{"svc/a": sourcetest.Gone, "svc/b": "1"}, false},
		{"link", sourcetest.Files{"svc/l": sourcetest.Link("run")}, false},
		{"link to file", sourcetest.Files{"svc/l": "a"}, false},
		{"folder without files", sourcetest.Files{"svc/d/x.md": ""}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := sourcetest.New(t, base)
			before := mustContext(t, open(t, r, "main"), "svc", "").Hash()
			r.Commit("refs/heads/main", "change", tt.change)
			after := mustContext(t, open(t, r, "main"), "svc", "").Hash()
			if (before == after) != tt.same {
				t.Errorf("before %s, after %s", before, after)
			}
		})
	}
}

// BuildKit's sender takes a file that cannot be opened for an empty one: what
// goes wrong must come from Read.
func TestOpenFailsInRead(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	c := open(t, r, "main")
	x := mustContext(t, c, "", "")
	c.Close()
	f, err := x.Open("a")
	if err != nil {
		t.Fatalf("Open itself failed: %v", err)
	}
	if _, err := io.ReadAll(f); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("reading after Close: %v", err)
	}
}
