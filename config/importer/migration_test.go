package importer

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/registry-build/registry-build/config"
)

const migration = "../MIGRATION.md"

// TestMigration tries every file in the page for those who come from
// elsewhere: build files are ones, other files are YAML, and what `import`
// makes of rules is what the page shows.
func TestMigration(t *testing.T) {
	page := string(read(t, migration))
	const fence = "```yaml\n"
	parts := strings.Split(page, fence)
	count := map[string]int{}
	rules := ""
	for i, part := range parts[1:] {
		block, rest, ok := strings.Cut(part, "```")
		if !ok {
			t.Fatalf("block %d has no end", i+1)
		}
		title, body, _ := strings.Cut(block, "\n")
		count[title]++
		switch title {
		case "# .gitlab-ci.yml":
			var v map[string]any
			if err := yaml.Unmarshal([]byte(block), &v); err != nil || len(v) == 0 {
				t.Errorf("block %d: %v", i+1, err)
			}
		case "# rules.yml":
			rules = block
		case "# .registry-build.yml":
			if rules != "" {
				r, err := Import("rules.yml", []byte(rules))
				if err != nil {
					t.Fatalf("block %d: %v", i, err)
				}
				if *update {
					parts[i+1] = title + "\n" + string(r.File) + "```" + rest
					body = string(r.File)
				}
				if diff := cmp.Diff(body, string(r.File)); diff != "" {
					t.Errorf("block %d is not what import makes; go test -update writes it (-want +got)\n%s", i+1, diff)
				}
				rules = ""
			}
			if _, ds := config.ParseBuildFile(config.BuildFileName, []byte(body)); len(ds) > 0 {
				t.Errorf("block %d:\n%v", i+1, ds)
			}
		default:
			t.Errorf("block %d does not say what it is: %s", i+1, title)
		}
	}
	want := map[string]int{"# .gitlab-ci.yml": 3, "# rules.yml": 2, "# .registry-build.yml": 6}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("files in the page (-want +got)\n%s", diff)
	}
	if *update {
		if err := os.WriteFile(migration, []byte(strings.Join(parts, fence)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// What a service's keys are called is told where people look.
func TestMigrationNamesEveryKey(t *testing.T) {
	page := strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(string(read(t, migration))))
	for _, s := range services() {
		for _, key := range s.keys {
			if !strings.Contains(page, key) && key != "buildrules" && key != "buildrule" {
				t.Errorf("the page has no %s of %s", key, s.title)
			}
		}
	}
}
