package forge_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/github"
	"github.com/registry-build/registry-build/handlers/forge/gitlab"
	"github.com/registry-build/registry-build/handlers/forge/plaingit"
)

var update = flag.Bool("update", false, "write the matrix into README.md")

const (
	matrixBegins = "<!-- matrix: go test ./handlers/forge -update -->\n"
	matrixEnds   = "<!-- /matrix -->\n"
)

// TestMatrix makes README.md's table of what the adapters implement, and of
// what they say that they have; the story of each adapter tries it.
func TestMatrix(t *testing.T) {
	adapters := []struct {
		name string
		forgetest.Traited
	}{
		{"our git remote", (*plaingit.Forge)(nil)},
		{"GitHub", (*github.App)(nil)},
		{"GitLab", (*gitlab.Forge)(nil)},
	}
	var b strings.Builder
	b.WriteString("| |")
	for _, a := range adapters {
		fmt.Fprintf(&b, " %s |", a.name)
		if err := forgetest.Implements(a.Traited, a.Traits()); err != nil {
			t.Errorf("%s: %v", a.name, err)
		}
	}
	b.WriteString(" without it |\n|---|" + strings.Repeat("---|", len(adapters)+1) + "\n")
	for _, row := range forge.AllTraits() {
		fmt.Fprintf(&b, "| %s |", row.Trait)
		for _, a := range adapters {
			word := a.Traits()[row.Trait]
			if word == "" {
				word = "–"
			}
			fmt.Fprintf(&b, " %s |", word)
		}
		fmt.Fprintf(&b, " %s |\n", row.Without)
	}
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), matrixBegins)
	was, after, ok2 := strings.Cut(rest, matrixEnds)
	if !ok || !ok2 {
		t.Fatalf("README.md has no %q and %q", matrixBegins, matrixEnds)
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(before+matrixBegins+b.String()+matrixEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(b.String(), was); diff != "" {
		t.Errorf("the matrix is another one now; write it with: go test ./handlers/forge -update (-want +got):\n%s", diff)
	}
}
