package kubernetes_test

import (
	"os"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/config"
)

// What the README tells people to write is what the program reads.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```yaml\n")
	block, _, found := strings.Cut(block, "```")
	if !found {
		t.Fatal("no example")
	}
	block = strings.NewReplacer("kubernetes: {cluster: prod,", "kubernetes: {rollback: true, timeout: 10m, cluster: prod,").Replace(block)
	file, problems := config.ParseBuildFile(".registry-build.yml", []byte("version: 1\nimages:\n  - name: api\n    "+strings.ReplaceAll(strings.TrimSpace(block), "\n", "\n    ")+"\n"))
	if len(problems) > 0 {
		t.Fatalf("%s\n%v", block, problems)
	}
	got := file.Images[0].Triggers[0].Kubernetes
	want := config.Kubernetes{Cluster: "prod", Namespace: "shop", Kind: config.Deployment, Name: "api", Container: "api", Rollback: true, Timeout: config.DefaultRollout}
	if got == nil || *got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
