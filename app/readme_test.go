package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/config"
)

// The files that the README offers to copy are ones that work, and what it
// links to is there.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 3 {
		t.Fatalf("README.md has %d files to copy, want GitLab servers, a build file and a server file", len(blocks))
	}
	if _, problems := config.ParseBuildFile("README.md", blocks[1][1]); len(problems) > 0 {
		t.Errorf("the build file to copy:\n%v", problems)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lab-token"), []byte("glpat-x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GITLAB_TOKEN", "glpat-y")
	for _, block := range [][]byte{blocks[0][1], blocks[2][1]} {
		if _, problems := config.ParseServer(filepath.Join(dir, "README.md"), block); len(problems) > 0 {
			t.Errorf("the server file to copy:\n%s%v", block, problems)
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(link[1], "://") {
			continue
		}
		if _, err := os.Stat("../" + link[1]); err != nil {
			t.Errorf("README.md links to what is not there: %v", err)
		}
	}
}
