package github

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
)

func readReadme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeCommands holds the table of commands against the one that
// registry-build answers with.
func TestReadmeCommands(t *testing.T) {
	readme := readReadme(t)
	for _, u := range builder.Commands() {
		row := fmt.Sprintf("| `%s` | `%s` | %s | %s |\n", u.Form, u.Example, u.Text, u.Who())
		if !strings.Contains(readme, row) {
			t.Errorf("the README lacks:\n%s", row)
		}
	}
}

// TestReadmeManifest holds permissions and events against those that the app
// is created with.
func TestReadmeManifest(t *testing.T) {
	readme := readReadme(t)
	text, err := os.ReadFile("../../../manifests/github-app.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Manifest struct {
			DefaultPermissions map[string]string `json:"default_permissions"`
			DefaultEvents      []string          `json:"default_events"`
		} `json:"manifest"`
		Later map[string]string `json:"later"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for name, level := range file.Later {
		if before := file.Manifest.DefaultPermissions[name]; before == "" {
			file.Manifest.DefaultPermissions[name] = level
		} else if !strings.Contains(readme, "; "+level+" with `forges.github.") {
			t.Errorf("the README lacks what raises %s to %s", name, level)
		}
	}
	rows := strings.Count(readme[strings.Index(readme, "### Permissions"):strings.Index(readme, "### Events")], "\n| `")
	if rows != len(file.Manifest.DefaultPermissions) {
		t.Errorf("%d permissions in the README, %d in the manifest", rows, len(file.Manifest.DefaultPermissions))
	}
	for name, level := range file.Manifest.DefaultPermissions {
		if !strings.Contains(readme, "| `"+name+"` | "+level) {
			t.Errorf("the README lacks the permission %s: %s", name, level)
		}
	}
	for _, event := range file.Manifest.DefaultEvents {
		if !strings.Contains(readme, "`"+event+"`") {
			t.Errorf("the README lacks the event %s", event)
		}
	}
}

// TestReadmeButtons holds the buttons' names.
func TestReadmeButtons(t *testing.T) {
	readme := readReadme(t)
	for _, state := range []builder.State{builder.Queued, builder.Failed} {
		for _, b := range buttons(builder.Record{Progress: builder.Progress{State: state}}) {
			if !strings.Contains(readme, "*"+b.Label+"*") {
				t.Errorf("the README lacks the button %q", b.Label)
			}
			if len(b.Label) > 20 || len(b.Description) > 40 || len(b.Identifier) > 20 {
				t.Errorf("button %+v is too long for GitHub", b)
			}
		}
	}
}
