package app

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/config"
)

// validate runs the command on a build file, outside of any repository.
func validate(t *testing.T, file string, args ...string) (out, problems string) {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, config.BuildFileName)
	if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	var stdout, stderr bytes.Buffer
	c := validateCommand(streams{out: &stdout, err: &stderr})
	c.SetArgs(append(args, config.BuildFileName))
	c.SilenceErrors, c.SilenceUsage = true, true
	if err := c.ExecuteContext(t.Context()); err != nil {
		stderr.WriteString(err.Error())
	}
	return stdout.String(), stderr.String()
}

func TestValidateTellsWhatTheServerMustHave(t *testing.T) {
	const images = `images:
  - name: api
    rules: [{branch: main, tags: [latest]}]
    secrets: [{id: npmrc, credential: npm-token}, {credential: cloud, secretIdVariable: ID, secretKeyVariable: KEY}]
    ssh: [{credential: deploy-key}]
    triggers:
      - {name: audit, webhook: {url: "https://audit.example.com/hook"}}
      - {name: prod, tags: /^v/, kubernetes: {cluster: prod, namespace: shop, deployment: api}}
      - {name: manifests, gitops: {repository: acme/deploy, file: a.yaml, helm: image}}
      - {name: team, chat: {credential: robot}}
`
	for _, tt := range []struct {
		name, file string
		args       []string
		want       string
	}{
		{"nothing", "images: [{name: app}]", nil, ".registry-build.yml is fine: 1 image\n"},
		{"credentials and clusters", images, nil, `.registry-build.yml is fine: 1 image
it needs of the server: credentials cloud, deploy-key, npm-token, robot, allowed by its policy; clusters prod; manifests in acme/deploy, allowed by its policy unless that is the repository itself
`},
		{"what a push does", images, []string{"--ref", "main"}, `a push of refs/heads/main at 0000000 builds 1 image
  api, branch: main
    tag owner/repository:latest
    secret npmrc from credential npm-token
    secret ID and KEY from credential cloud
    ssh default from credential deploy-key
    trigger audit on tags all: webhook https://audit.example.com/hook
    trigger prod on tags /^v/: kubernetes prod/shop/deployment/api
    trigger manifests on tags all: gitops acme/deploy, a.yaml
    trigger team on tags all: chat by robot
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, problems := validate(t, tt.file, tt.args...)
			if diff := cmp.Diff(tt.want, out); diff != "" || problems != "" {
				t.Errorf("%s\n%s", problems, diff)
			}
		})
	}
}
