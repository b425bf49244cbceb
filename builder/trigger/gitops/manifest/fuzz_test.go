package manifest

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"
)

// FuzzSet holds Set against a reader of its own: whatever it gives out has the
// image in its place, and every other value as it was.
func FuzzSet(f *testing.F) {
	files, err := filepath.Glob("testdata/edit/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var p Place
		if err := yaml.Unmarshal(ar.Comment, &p); err != nil {
			f.Fatal(err)
		}
		f.Add(marks.Replace(string(ar.Files[0].Data)), p.Kustomize, p.Helm, p.Path)
	}
	f.Fuzz(func(t *testing.T, text, kustomize, helm, path string) {
		out, change, err := Set("f.yaml", []byte(text), Place{kustomize, helm, path}, image)
		if err != nil {
			if out != nil || !strings.HasPrefix(err.Error(), "f.yaml") {
				t.Fatalf("%q with error %v", out, err)
			}
			return
		}
		if !change.Changed {
			if string(out) != text {
				t.Fatal("changed and not told")
			}
			return
		}
		before, after := scalars(t, []byte(text)), scalars(t, out)
		gone, came := missing(before, after), missing(after, before)
		// newName or registry and repository, tag and digest: no more.
		if len(gone) > 6 || len(came) > 8 {
			t.Errorf("gone %q, came %q", gone, came)
		}
		for _, s := range came {
			switch s {
			case image.String(), image.Repository, image.Tag, image.Digest, image.tagged(), kustomize,
				"registry.example.com", "acme/api", "name", "newName", "digest", "images", "tag":
			default:
				t.Errorf("%q came", s)
			}
		}
		if _, again, err := Set("f.yaml", out, Place{kustomize, helm, path}, image); err != nil || again.Changed {
			t.Errorf("a second time: %+v, %v", again, err)
		}
	})
}

// scalars counts the texts of all documents.
func scalars(t *testing.T, text []byte) map[string]int {
	t.Helper()
	found := map[string]int{}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			found[n.Value]++
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	for in := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc yaml.Node
		if in.Decode(&doc) != nil {
			return found
		}
		walk(&doc)
	}
}

// missing lists what a has more of than b.
func missing(a, b map[string]int) []string {
	var list []string
	for s, n := range a {
		for range n - b[s] {
			list = append(list, s)
		}
	}
	return list
}
