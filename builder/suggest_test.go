package builder

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/config"
)

func TestSuggestFile(t *testing.T) {
	want := Suggestion{Dockerfiles: []string{"Dockerfile"}, File: `# Which images are built out of this repository, when, and under which tags.
version: 1
images:
  - dockerfile: Dockerfile
    rules:
      - branch: main
        tags: [latest]
      - tag: "v*"
        tags: ["${tag}"]
      - pullRequest: true
`}
	if diff := cmp.Diff(want, Suggest([]string{"Dockerfile"}, "hello", "main")); diff != "" {
		t.Error(diff)
	}
}

func TestSuggestNames(t *testing.T) {
	for _, tt := range []struct {
		name        string
		dockerfiles []string
		want        []string // name: dockerfile in context
	}{
		{"a folder for each", []string{"services/api/Dockerfile", "services/web/Dockerfile"},
			[]string{"api: services/api/Dockerfile in services/api", "web: services/web/Dockerfile in services/web"}},
		{"suffixes at the root", []string{"Dockerfile", "Dockerfile.api", "web.Dockerfile"},
			[]string{"hello: Dockerfile in .", "api: Dockerfile.api in .", "web: web.Dockerfile in ."}},
		{"suffixes in a folder", []string{"api/Dockerfile", "api/Dockerfile.debug"},
			[]string{"api: api/Dockerfile in api", "api-debug: api/Dockerfile.debug in api"}},
		{"one, in a folder", []string{"services/api/Dockerfile"}, []string{": services/api/Dockerfile in services/api"}},
		{"a folder of Dockerfiles", []string{"build/Dockerfile", "build/docker/api.Dockerfile", "deploy/Dockerfile.web"},
			[]string{"hello: build/Dockerfile in .", "api: build/docker/api.Dockerfile in .", "web: deploy/Dockerfile.web in ."}},
		{"beside what is built", []string{"api/docker/Dockerfile", "web/build/Dockerfile"},
			[]string{"api: api/docker/Dockerfile in api", "web: web/build/Dockerfile in web"}},
		{"one name twice", []string{"apps/api/Dockerfile", "services/api/Dockerfile"},
			[]string{"apps-api: apps/api/Dockerfile in apps/api", "services-api: services/api/Dockerfile in services/api"}},
		{"one name, without folders that differ", []string{"Dockerfile.api", "api.Dockerfile", "api/Dockerfile"},
			[]string{"api: Dockerfile.api in .", "api-2: api.Dockerfile in .", "api-3: api/Dockerfile in api"}},
		{"capital and odd letters", []string{"My Service!/Dockerfile", "--/Dockerfile", "true/Dockerfile", "1.0/Dockerfile"},
			[]string{"my-service: My Service!/Dockerfile in My Service!", "image: --/Dockerfile in --", "true: true/Dockerfile in true", "1-0: 1.0/Dockerfile in 1.0"}},
		{"what a build file cannot hold", []string{"a\\b/Dockerfile", "${x}/Dockerfile", "a\x01/Dockerfile", "../Dockerfile", "api/Dockerfile", "api/Dockerfile"},
			[]string{": api/Dockerfile in api"}},
		{"none", nil, []string{": Dockerfile in ."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := parseFile(t, Suggest(tt.dockerfiles, "Hello", "main").File)
			var got []string
			for _, img := range f.Images {
				got = append(got, fmt.Sprintf("%s: %s in %s", img.Name, img.Dockerfile, img.Context))
				var rules []string
				for _, r := range img.Rules {
					rules = append(rules, r.String())
				}
				if diff := cmp.Diff([]string{"branch: main", "tag: v*", "pullRequest: true"}, rules); diff != "" {
					t.Error(diff)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSuggestBranch(t *testing.T) {
	for branch, want := range map[string]string{"": "main", "trunk": "trunk", "release/1.0": "release/1.0", "on": "on", "1.10": "1.10", `a"b`: `a"b`, "ü{x}": "ü{x}", "a\x01b": "main"} {
		f := parseFile(t, Suggest([]string{"Dockerfile"}, "hello", branch).File)
		if got := f.Images[0].Rules[0].Branch.String(); got != want {
			t.Errorf("branch %q: %q", branch, got)
		}
	}
}

// Whatever a repository holds, the file that is suggested parses, and names
// the Dockerfiles that it says it names.
func TestSuggestParses(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"Dockerfile", "Dockerfile.", ".Dockerfile", "api", "/", "/", "build/", "-", "_", ".", "..", " ", "ü", "\"", "'", ":", "#", "{", "}", "[", "${", "$$", "\\", "*", "&", "!", "%", "\n", "\x00", "\xff", "true", "0x1", "~", "A"}
	text := func() string {
		var b strings.Builder
		for range random.IntN(8) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		return b.String()
	}
	for range 3000 {
		var files []string
		for range random.IntN(5) {
			files = append(files, text())
		}
		checkSuggestion(t, files, text(), text())
	}
	many := make([]string, 200)
	for i := range many {
		many[i] = fmt.Sprintf("s%d/api/Dockerfile", i/2)
	}
	checkSuggestion(t, many, strings.Repeat("long", 100), strings.Repeat("b", 2000))
}

func checkSuggestion(t *testing.T, files []string, name, branch string) {
	t.Helper()
	s := Suggest(files, name, branch)
	f, problems := config.ParseBuildFile(config.BuildFileName, []byte(s.File))
	if len(problems) > 0 {
		t.Fatalf("files %q, name %q, branch %q:\n%s\n%s", files, name, branch, problems, s.File)
	}
	if len(s.Dockerfiles) > 0 && len(f.Images) != len(s.Dockerfiles) {
		t.Errorf("%d images of %q:\n%s", len(f.Images), s.Dockerfiles, s.File)
	}
}
