package config

import "testing"

func TestPathsMatch(t *testing.T) {
	for _, tt := range []struct {
		name      string
		paths     Paths
		file      string
		otherwise bool
		want      bool
	}{
		{"no paths are every file", nil, "README.md", false, true},
		{"a file", Paths{"go.mod"}, "go.mod", false, true},
		{"a file elsewhere", Paths{"go.mod"}, "tools/go.mod", false, false},
		{"a folder", Paths{"services/api"}, "services/api/cmd/main.go", false, true},
		{"a folder with its slash", Paths{"services/api/"}, "services/api/main.go", false, true},
		{"not a folder that begins alike", Paths{"services/api"}, "services/api-old/main.go", false, false},
		{"stars", Paths{"services/api/**"}, "services/api/a/b/c.go", false, true},
		{"one star stops at a slash", Paths{"services/*.go"}, "services/api/main.go", false, false},
		{"a star for folders", Paths{"services/*/Dockerfile"}, "services/api/Dockerfile", false, true},
		{"stars before", Paths{"**/*.go"}, "a/b/c.go", false, true},
		{"stars are no folder, too", Paths{"**/*.go"}, "c.go", false, true},
		{"a class", Paths{"v[0-9]/x"}, "v1/x", false, true},
		{"braces are letters", Paths{"{a,b}"}, "a", false, false},
		{"braces are letters, in a name", Paths{"{a,b}"}, "{a,b}", false, true},
		{"hidden files", Paths{"**"}, ".github/x", false, true},
		{"excluded", Paths{"services/**", "!**/*.md"}, "services/api/README.md", false, false},
		{"beside what is excluded", Paths{"services/**", "!**/*.md"}, "services/api/main.go", false, true},
		{"the last one decides", Paths{"docs", "!docs", "docs/api.md"}, "docs/api.md", false, true},
		{"the last one decides, too", Paths{"docs", "docs/api.md", "!docs"}, "docs/api.md", false, false},
		{"not named, but it counts", Paths{"docs"}, "Dockerfile", true, true},
		{"excluded, so it does not count", Paths{"docs", "!Dockerfile"}, "Dockerfile", true, false},
		{"odd characters", Paths{"**/ü \n"}, "a/ü \n", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.paths.Match(tt.file, tt.otherwise); got != tt.want {
				t.Errorf("%q of %q: %v", tt.file, tt.paths, got)
			}
		})
	}
}
