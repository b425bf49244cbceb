package gitlab

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// between is the part of a text from the one to the other.
func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, text, ok := strings.Cut(text, from)
	if text, _, _ = strings.Cut(text, to); !ok || text == "" {
		t.Fatalf("there is nothing from %q to %q", from, to)
	}
	return text
}

// TestReadmeCommands holds the table of commands against the one that
// registry-build answers with.
func TestReadmeCommands(t *testing.T) {
	readme := readText(t, "README.md")
	for _, u := range builder.Commands() {
		row := fmt.Sprintf("| `%s` | `%s` | %s | %s |\n", u.Form, u.Example, u.Text, u.Who())
		if !strings.Contains(readme, row) {
			t.Errorf("the README lacks:\n%s", row)
		}
	}
}

// TestReadmeServerFile reads the examples of a server file as the server does:
// the last one has every key.
func TestReadmeServerFile(t *testing.T) {
	readme := readText(t, "README.md")
	t.Setenv("GITLAB_TOKEN", "glpat-first")
	t.Setenv("LAB_HOOK_SECRET", "It's a Secret to Everybody")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lab-token"), []byte("glpat-second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?sm)^ *```yaml\n(.*?)^ *```$").FindAllStringSubmatch(readme, -1)
	if len(examples) != 2 {
		t.Fatalf("%d examples, want 2", len(examples))
	}
	for _, example := range examples {
		indent := regexp.MustCompile(`^ *`).FindString(example[1])
		text := strings.ReplaceAll("\n"+example[1], "\n"+indent, "\n")
		s, problems := config.ParseServer(filepath.Join(dir, "server.yml"), []byte(text))
		if len(problems) > 0 || len(s.GitLab) == 0 || s.URL == "" {
			t.Errorf("%s\n%v", text, problems)
		}
	}
	keys := regexp.MustCompile("(?m)^\\| &nbsp; `([a-z]+)` ").FindAllStringSubmatch(between(t, readText(t, "../../../config/README.md"), "| `forges.gitlab[]`", "| `policy[]`"), -1)
	if len(keys) < 8 {
		t.Errorf("%d keys in the reference", len(keys))
	}
	for _, key := range keys {
		if !regexp.MustCompile(`(?m)^[ -]+` + key[1] + `: `).MatchString(examples[1][1]) {
			t.Errorf("the example lacks the key %s", key[1])
		}
	}
}

// TestReadmeTroubles holds the messages of the table, and what the commands
// print in the examples, against what the code says.
func TestReadmeTroubles(t *testing.T) {
	readme := readText(t, "README.md")
	var code strings.Builder
	for _, pattern := range []string{"*.go", "../../webhook.go", "../../../app/cli_gitlab.go", "../../../builder/confirm.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				code.WriteString(readText(t, file))
			}
		}
	}
	said := 0
	for line := range strings.Lines(between(t, readme, "| it says |", "\n\n")) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, message := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			for part := range strings.SplitSeq(message[1], "…") {
				if said++; !strings.Contains(code.String(), strings.Trim(part, " @,")) {
					t.Errorf("nobody says %q", part)
				}
			}
		}
	}
	if said < 15 {
		t.Errorf("%d messages were found", said)
	}
	for _, text := range []string{
		"webhook made and tried", "known now. Those that come later are known by their first push.",
		"What is pushed from now on is built where there is a .registry-build.yml; `registry-build validate` checks one.",
		"has no webhooks of groups (they come with Premium)", "Projects that come later are not known: run this again for them.",
		"tells of what happens by a webhook", "the clocks agree", "projects are known no more, and what was being built of them is",
	} {
		if !strings.Contains(readme, text) || !strings.Contains(code.String(), text) {
			t.Errorf("not both the README and the code say %q", text)
		}
	}
}
