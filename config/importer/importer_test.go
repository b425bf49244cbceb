package importer

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/registry-build/registry-build/config"
)

var update = flag.Bool("update", false, "write the .want files of testdata anew")

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sources returns the rule descriptions of a folder of testdata.
func sources(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	for _, ext := range []string{"*.json", "*.yml"} {
		names, err := filepath.Glob(filepath.Join("testdata", dir, ext))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, names...)
	}
	if len(out) == 0 {
		t.Fatalf("no files in testdata/%s", dir)
	}
	return out
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, name)), got); diff != "" {
		t.Errorf("it differs; look at it, then run go test -update (-want +got)\n%s", diff)
	}
}

// What is read becomes a file that the server accepts, and a list of what it
// does not do.
func TestImport(t *testing.T) {
	for _, name := range sources(t, "ok") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			r, err := Import(filepath.Base(name), read(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if _, problems := config.ParseBuildFile(config.BuildFileName, r.File); len(problems) > 0 {
				t.Errorf("the file that came out:\n%v", problems)
			}
			var got strings.Builder
			got.Write(r.File)
			fmt.Fprintf(&got, "--- %d rules of %s, %d not mapped\n", r.Rules, r.Service, len(r.Unmapped))
			for _, n := range r.Unmapped {
				fmt.Fprintln(&got, n.At(filepath.Base(name)))
			}
			if strings.Contains(got.String(), "hunter2") {
				t.Error("a secret argument's value is in it")
			}
			checkGolden(t, name+".want", got.String())
		})
	}
}

func TestImportRefuses(t *testing.T) {
	for _, name := range sources(t, "err") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			r, err := Import(filepath.Base(name), read(t, name))
			if err == nil {
				t.Fatalf("it was taken:\n%s", r.File)
			}
			if ds := (config.Diagnostics)(nil); !errors.As(err, &ds) {
				t.Errorf("%T is not about the file", err)
			}
			checkGolden(t, name+".want", err.Error()+"\n")
		})
	}
}

// What the file says of a ref is what the services' pages say of it.
func TestImportedRulesMatch(t *testing.T) {
	for _, tt := range []struct {
		name, source string
		branch, tag  []string // that are built
		not          []string // branches that are not
	}{
		{"a branch of ACR is exact", `{PushType: GIT_BRANCH, PushName: v0.1, ImageTag: a}`,
			[]string{"v0.1"}, nil, []string{"v0x1", "v0.1.2"}},
		{"an expression of ACR", `{PushType: GIT_BRANCH, PushName: 'release-(?<imageTag>\w*)', ImageTag: a}`,
			[]string{"release-v1", "release-"}, nil, []string{"main", "my-release-v1"}},
		{"the older variable of ACR", `{PushType: GIT_TAG, PushName: release-v$version, ImageTag: $version}`,
			nil, []string{"release-v1.2"}, []string{"release-v1.2"}},
		{"any branch of TCR", `{Trigger: 推送到分支时触发构建, TagRule: {Ref: true}}`,
			[]string{"main", "feature/x"}, nil, nil},
		{"new tags of TCR", `{Trigger: tag, TagRule: {Ref: true}}`,
			nil, []string{"v1", "a/b"}, []string{"main"}},
		{"the example of TCR", `{Trigger: regex, Regex: ^refs/heads/master$, TagRule: {Ref: true}}`,
			[]string{"master"}, nil, []string{"master2", "x/master"}},
		{"TCR searches", `{Trigger: regex, Regex: "hot[fix]+|^refs/tags/v", TagRule: {Ref: true}}`,
			[]string{"hotfix", "my/hotfix-1"}, []string{"v1", "very", "xhotf"}, []string{"v1", "main"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Import("rules.yml", []byte(tt.source))
			if err != nil {
				t.Fatal(err)
			}
			f, problems := config.ParseBuildFile(config.BuildFileName, r.File)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			for _, b := range tt.branch {
				if !built(f, "refs/heads/", b) {
					t.Errorf("branch %s is not built by\n%s", b, r.File)
				}
			}
			for _, b := range tt.tag {
				if !built(f, "refs/tags/", b) {
					t.Errorf("tag %s is not built by\n%s", b, r.File)
				}
			}
			for _, b := range tt.not {
				if built(f, "refs/heads/", b) {
					t.Errorf("branch %s is built by\n%s", b, r.File)
				}
			}
		})
	}
}

func built(f *config.BuildFile, kind, name string) bool {
	for _, r := range f.Images[0].Rules {
		p, text := r.Ref, kind+name
		switch {
		case r.Branch != nil && kind == "refs/heads/":
			p, text = r.Branch, name
		case r.Tag != nil && kind == "refs/tags/":
			p, text = r.Tag, name
		}
		if p == nil {
			continue
		}
		if _, ok := p.Match(text); ok {
			return true
		}
	}
	return false
}

// Whatever goes in, a build file comes out or an error, and a file that comes
// out is one.
func FuzzImport(f *testing.F) {
	for _, dir := range []string{"ok", "err"} {
		for _, name := range sources(f, dir) {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("[{PushType: GIT_BRANCH, PushName: \"a\\n# b\", ImageTag: \"x\\u0085y\"}]"))
	f.Add([]byte("{Trigger: regex, Regex: \"(?<time>a)|b'\\\"\", TagRule: \"p # q\", BuildArgs: {A: \"\\x01\\n\"}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Import("fuzz.yml", data)
		if err != nil {
			var ds config.Diagnostics
			if !errors.As(err, &ds) || strings.Contains(err.Error(), "mistake of this program") {
				t.Fatal(err)
			}
			return
		}
		file, problems := config.ParseBuildFile(config.BuildFileName, r.File)
		if len(problems) > 0 {
			t.Fatalf("%v\n%s", problems, r.File)
		}
		if r.Rules == 0 || file == nil {
			t.Fatal("a file without rules came out")
		}
	})
}

// A description that is far too large is cut in time, and tells so.
func TestImportOfTooMuch(t *testing.T) {
	rule := func(i int) string {
		return fmt.Sprintf("  - {Trigger: branch, Branch: b%d, TagRule: {Ref: true}}\n", i)
	}
	var many strings.Builder
	many.WriteString("service: tcr\nrules:\n")
	for i := range 150 {
		many.WriteString(rule(i))
	}
	r, err := Import("rules.yml", []byte(many.String()))
	if err != nil {
		t.Fatal(err)
	}
	if r.Rules != maxRules || len(r.Unmapped) != 50 || r.Unmapped[0].Line != 103 {
		t.Errorf("%d rules, %d notes, the first %v", r.Rules, len(r.Unmapped), r.Unmapped[0])
	}
	var args, tags []string
	for i := range 200 {
		args = append(args, fmt.Sprintf("A%d=1", i))
		tags = append(tags, fmt.Sprintf("t%d", i))
	}
	r, err = Import("rules.yml", fmt.Appendf(nil, "{PushType: GIT_TAG, PushName: v1, ImageTags: [%s], BuildArgs: [%s]}", strings.Join(tags, ", "), strings.Join(args, ", ")))
	if err != nil {
		t.Fatal(err)
	}
	if want := []Note{{1, "rule 1: 180 build arguments are left out: 20 are the most"}, {1, "rule 1: 100 tags are left out: 100 are the most"}}; !cmp.Equal(want, r.Unmapped) {
		t.Error(cmp.Diff(want, r.Unmapped))
	}
	if _, err := Import("rules.yml", []byte(strings.Repeat("#\n", maxSource))); err == nil || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("1 MiB too much: %v", err)
	}
	long := strings.Repeat("x", 4000)
	many.Reset()
	many.WriteString("rules:\n")
	for i := range 60 {
		fmt.Fprintf(&many, "  - {Trigger: branch, Branch: b%d, TagRule: {Ref: true}, BuildArgs: {A: %s%d, B: %s}}\n", i, long, i, long)
	}
	if _, err := Import("rules.yml", []byte(many.String())); err == nil || !strings.Contains(err.Error(), "one by one") {
		t.Errorf("a build file of more than 256 KiB: %v", err)
	}
}

// A text that is written reads back as it was.
func TestScalars(t *testing.T) {
	for _, s := range []string{
		"", "a", "no", "1.10", "a b", "a: b", "a #b", `a"b\c`, "a'b", "a\nb\tc", "\u0085\u2028\ufeff", "\x01\x7f", "中文 😀", "\U000e0001", "/a: b/", "/a'b #c/", "/a,b]/", "- a", "*", "{a}", "~",
	} {
		for _, text := range []string{quoted(s), pattern(s)} {
			var v struct{ K string }
			if err := yaml.Unmarshal([]byte("k: "+text), &v); err != nil || v.K != s {
				t.Errorf("%q was written %s and reads %q, %v", s, text, v.K, err)
			}
		}
		var list []string
		if err := yaml.Unmarshal([]byte("["+quoted(s)+", x]"), &list); err != nil || list[0] != s {
			t.Errorf("%q in a list was written %s and reads %q, %v", s, quoted(s), list, err)
		}
	}
}
