package app

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/registry-build/registry-build"

// house says which of our own packages each package may import. A package
// without a row fails the test, so that nobody moves in unseen. Imports go
// down only, and adapters never import each other.
var house = map[string][]string{
	".":            {"app"},
	"manifests":    {},
	"app":          {"manifests", "handlers", "handlers/oci", "handlers/page", "handlers/forge", "handlers/forge/github", "handlers/forge/gitlab", "handlers/forge/plaingit", "handlers/forge/telling", "builder", "builder/buildkit", "builder/source", "builder/registry", "builder/store", "builder/credential", "builder/trigger", "builder/trigger/guard", "builder/trigger/webhook", "builder/trigger/chat", "builder/trigger/gitops", "builder/trigger/kubernetes", "config", "config/importer"},
	"app/demo":     {"app/instance", "handlers", "builder/trigger/webhook"},
	"app/bench":    {"app/instance", "handlers", "handlers/forge/github/githubtest", "builder", "builder/trigger/kubernetes/kubetest"},
	"app/instance": {},

	"handlers":                {"handlers/forge", "builder", "config"},
	"handlers/page":           {"builder", "config"},
	"handlers/oci":            {"builder", "config"},
	"handlers/forge":          {"builder", "config"},
	"handlers/forge/github":   {"handlers/forge", "handlers/forge/markdown", "handlers/forge/quota", "handlers/forge/telling", "builder", "config"},
	"handlers/forge/gitlab":   {"handlers/forge", "handlers/forge/markdown", "handlers/forge/quota", "handlers/forge/telling", "builder", "config"},
	"handlers/forge/markdown": {"builder"},
	"handlers/forge/quota":    {},
	"handlers/forge/telling":  {"builder"},
	"handlers/forge/plaingit": {"handlers/forge", "builder", "config"},

	"builder":                         {"config"},
	"builder/buildkit":                {"builder", "config"},
	"builder/source":                  {"builder", "config"},
	"builder/registry":                {"builder", "config"},
	"builder/store":                   {"builder", "config"},
	"builder/credential":              {"builder", "config"},
	"builder/trigger":                 {"builder", "config"},
	"builder/trigger/chat":            {"builder/trigger/guard", "builder/trigger", "builder", "config"},
	"builder/trigger/gitops":          {"builder/trigger/gitops/manifest", "builder/trigger", "builder", "config"},
	"builder/trigger/gitops/manifest": {},
	"builder/trigger/guard":           {"builder/trigger", "builder", "config"},
	"builder/trigger/webhook":         {"builder/trigger/guard", "builder/trigger", "builder", "config"},
	"builder/trigger/kubernetes":      {"builder/trigger", "builder", "config"},
	"config":                          {},
	"config/importer":                 {"config"},

	// What only tests use.
	"handlers/forge/forgetest":            {"handlers/forge", "handlers/forge/telling", "builder", "builder/source"},
	"handlers/forge/forgetest/fault":      {},
	"handlers/forge/forgetest/gitserver":  {},
	"handlers/forge/github/githubtest":    {"handlers/forge/forgetest/fault", "handlers/forge/forgetest/gitserver"},
	"handlers/forge/gitlab/gitlabtest":    {"handlers/forge/forgetest/fault", "handlers/forge/forgetest/gitserver"},
	"builder/buildkit/buildkittest":       {"builder"},
	"builder/source/sourcetest":           {"builder"},
	"builder/store/storetest":             {"builder/store", "builder", "config"},
	"builder/trigger/kubernetes/kubetest": {},
	"builder/trigger/triggertest":         {"builder/trigger", "builder", "config"},
}

// TestImports parses the sources instead of asking `go list`: go caches a
// test's result by the files that the test itself opens.
func TestImports(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && file != root || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		seen[pkg] = true
		checkImports(t, file, pkg)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range house {
		if !seen[pkg] {
			t.Errorf("%s has a row and no source", pkg)
		}
	}
}

func checkImports(t *testing.T, file, pkg string) {
	allowed, ok := house[pkg]
	if !ok {
		t.Errorf("%s: package %s has no row; say in imports_test.go what it may import", file, pkg)
		return
	}
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range parsed.Imports {
		name := strings.Trim(spec.Path.Value, `"`)
		inner, ours := strings.CutPrefix(name, module)
		if !ours {
			continue
		}
		inner = path.Join(".", strings.TrimPrefix(inner, "/"))
		if !slices.Contains(allowed, inner) {
			t.Errorf("%s: %s may not import %s", file, pkg, inner)
		}
	}
}
