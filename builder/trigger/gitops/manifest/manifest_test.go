package manifest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write what came out into the golden files")

var image = Image{Repository: "registry.example.com/acme/api", Tag: "v1.2.3", Digest: "sha256:" + strings.Repeat("1", 64)}

// marks stand for what a golden file cannot show: a carriage return, a byte
// order mark, and no line feed at the end.
var (
	marks   = strings.NewReplacer(`\r`, "\r", `\ufeff`, "\ufeff", "\\0\n", "")
	unmarks = strings.NewReplacer("\r", `\r`, "\ufeff", `\ufeff`)
)

func marked(text string) string {
	text = unmarks.Replace(text)
	if !strings.HasSuffix(text, "\n") {
		text += "\\0\n"
	}
	return text
}

// TestSet changes each file of testdata/edit: the place is above, then what
// was before, what is told, and what came out.
func TestSet(t *testing.T) {
	files, err := filepath.Glob("testdata/edit/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no golden files")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			place := placeOf(t, ar.Comment)
			before := marks.Replace(string(ar.Files[0].Data))
			out, change, err := Set("deploy.yaml", []byte(before), place, image)
			got := []txtar.File{ar.Files[0]}
			switch {
			case err != nil:
				got = append(got, txtar.File{Name: "error", Data: []byte(err.Error() + "\n")})
			case !change.Changed:
				if string(out) != before {
					t.Error("the text changed, and that was not told")
				}
				got = append(got, txtar.File{Name: "unchanged", Data: []byte{}})
			default:
				got = append(got, txtar.File{Name: "change", Data: []byte(fmt.Sprintf("line %d: %s\n", change.Line, change.Text))},
					txtar.File{Name: "after", Data: []byte(marked(string(out)))})
			}
			if *update {
				ar.Files = got
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(ar.Files, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func placeOf(t *testing.T, comment []byte) Place {
	t.Helper()
	var p Place
	if err := yaml.Unmarshal(comment, &p); err != nil {
		t.Fatal(err)
	}
	return p
}
