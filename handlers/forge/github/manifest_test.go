package github

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/config"
)

// everything is every setting that asks for a permission of its own.
var everything = config.GitHub{Deployments: true, GitOps: true}

// needsInSource are the permissions that the sources of this folder name in
// need literals, with where.
func needsInSource(t *testing.T) map[string]need {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]need{}
	positions := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(positions, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if kind, named := literalType(literal, ok); !named || kind != "need" {
				return true
			}
			where := positions.Position(literal.Pos()).String()
			all[where] = need{}
			for _, element := range literal.Elts {
				pair, ok := element.(*ast.KeyValueExpr)
				if !ok {
					t.Fatalf("%s: a need without names", where)
				}
				permission, known := constant(pair.Key)
				level, known2 := constant(pair.Value)
				if !known || !known2 {
					t.Fatalf("%s: write permission and access as they are, so that they can be held against the manifest", where)
				}
				all[where][permission] = level
			}
			return true
		})
	}
	return all
}

func literalType(literal *ast.CompositeLit, ok bool) (string, bool) {
	if !ok {
		return "", false
	}
	name, ok := literal.Type.(*ast.Ident)
	if !ok {
		return "", false
	}
	return name.Name, true
}

func constant(e ast.Expr) (string, bool) {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}

// TestManifestCoversWhatIsCalled: an app that is made from the manifest may do
// all that we do, and nothing that we do not.
func TestManifestCoversWhatIsCalled(t *testing.T) {
	asked := ourManifest(t).Permissions(everything)
	// Not for calls: GitHub gives metadata, and delivers merge groups only
	// with merge_queues.
	used := map[string]string{"merge_queues": "read"}
	needs := needsInSource(t)
	if len(needs) < 8 {
		t.Fatalf("%d needs found in the sources: %v", len(needs), needs)
	}
	for where, n := range needs {
		for permission, level := range n {
			if !enough(asked[permission], level) {
				t.Errorf("%s needs %s: %s, and the manifest asks for %q", where, permission, level, asked[permission])
			}
			if used[permission] != "write" {
				used[permission] = level
			}
		}
	}
	for permission, level := range asked {
		if used[permission] != level {
			t.Errorf("the manifest asks for %s: %s, and what is used is %q", permission, level, used[permission])
		}
	}
}

// TestManifestEvents: what the app subscribes to is read, and what is read is
// subscribed to.
func TestManifestEvents(t *testing.T) {
	always := []string{"installation", "installation_repositories"} // every app gets them
	subscribed := ourManifest(t).Manifest.DefaultEvents
	for _, event := range slices.Concat(subscribed, always) {
		if read, _ := readerOf(event); read == nil {
			t.Errorf("nothing reads %s", event)
		}
	}
	for event := range eventsInSource(t) {
		if !slices.Contains(subscribed, event) && !slices.Contains(always, event) {
			t.Errorf("%s is read, and the manifest does not subscribe to it", event)
		}
	}
}

// eventsInSource are the events that readerOf returns a reader for.
func eventsInSource(t *testing.T) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for n := range ast.Preorder(file) {
		c, ok := n.(*ast.CaseClause)
		if !ok {
			continue
		}
		for _, e := range c.List {
			event, _ := constant(e)
			if read, _ := readerOf(event); read != nil {
				all[event] = true
			}
		}
	}
	if len(all) < 8 {
		t.Fatalf("found only %v", all)
	}
	return all
}

// TestManifestSaysWhy: each permission has a reason that begins with its access.
func TestManifestSaysWhy(t *testing.T) {
	m := ourManifest(t)
	asked := m.Permissions(everything)
	for name, level := range asked {
		if why := m.why(name, level); strings.Contains(why, level+": ") || len(why) < 30 {
			t.Errorf("%s: %s is needed because %q", name, level, why)
		}
	}
	for key, why := range m.Why {
		name, raised, _ := strings.Cut(key, ": ")
		level := cmp.Or(raised, m.Manifest.DefaultPermissions[name], m.Later[name])
		if asked[name] == "" || raised != "" && m.Later[name] != raised || !strings.HasPrefix(why, level+": ") {
			t.Errorf("the reason for %s is %q, and %q is asked for", key, why, level)
		}
	}
	for name, level := range m.Later {
		if m.Manifest.DefaultPermissions[name] == level {
			t.Errorf("%s is asked for from the beginning", name)
		}
	}
}
