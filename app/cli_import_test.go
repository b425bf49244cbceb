package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/config"
)

// runImport runs the program as a shell does.
func runImport(t *testing.T, stdin string, args ...string) (status int, out, problems string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = Main(append([]string{"registry-build", "import"}, args...), strings.NewReader(stdin), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

const acrAnswer = `{"BuildRules": [
  {"PushType": "GIT_BRANCH", "PushName": "main", "ImageTag": "latest", "Platforms": ["linux/amd64", "linux/arm64"]}
]}`

func TestImportWritesToStandardOutput(t *testing.T) {
	status, out, problems := runImport(t, acrAnswer, "-")
	if status != 0 {
		t.Errorf("status %d", status)
	}
	if _, ds := config.ParseBuildFile(config.BuildFileName, []byte(out)); len(ds) > 0 {
		t.Errorf("%v\n%s", ds, out)
	}
	want := `1 rule out of those of ACR; 1 thing without a place here:
  stdin:2: rule 1: of the platforms linux/amd64, linux/arm64 only linux/amd64 is built: an image of several platforms comes in a later version
`
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Error(diff)
	}
}

func TestImportOverwritesNothingUnasked(t *testing.T) {
	dir := t.TempDir()
	rules, output := filepath.Join(dir, "rules.yml"), filepath.Join(dir, config.BuildFileName)
	for name, text := range map[string]string{rules: "{Trigger: tag, TagRule: {Ref: true}}", output: "mine"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, out, problems := runImport(t, "", rules, "-o", output)
	if want := "registry-build: " + output + " is there already; --force overwrites it\n"; status != 1 || out != "" || problems != want {
		t.Errorf("status %d, %q, %q", status, out, problems)
	}
	if text, err := os.ReadFile(output); string(text) != "mine" {
		t.Errorf("the file has %q, %v", text, err)
	}
	status, out, problems = runImport(t, "", rules, "--output", output, "--force")
	if want := "1 rule out of those of TCR in " + output + "; everything has a place\n"; status != 0 || out != "" || problems != want {
		t.Errorf("status %d, %q, %q", status, out, problems)
	}
	if text, err := os.ReadFile(output); !strings.Contains(string(text), `- tag: "*"`) {
		t.Errorf("the file has %q, %v", text, err)
	}
}

func TestImportTellsWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name, stdin string
		args        []string
		status      int
		want        string // the first line
	}{
		{"no file", "", nil, 2, "registry-build: registry-build import needs a file"},
		{"no such file", "", []string{"none.yml"}, 1, "registry-build: open none.yml: no such file or directory"},
		{"nothing in it", "", []string{"-"}, 1, "stdin: it is empty; expected are build rules of Alibaba ACR or Tencent TCR: the JSON that ACR's ListRepoBuildRule answers with, or a YAML file like"},
		{"not YAML", "a: [\n", []string{"-"}, 1, `stdin:1:1: it is neither YAML nor JSON: did not find expected node content (put values with characters like * ? : { [ into quotes, 'single' ones where there is a \)`},
		{"nothing that can be said", "{Trigger: regex, Regex: \"(?!a)\", TagRule: {Ref: true}}", []string{"-"}, 1,
			`stdin:1:1: rule 1: regular expression /(?!a)/: RE2 has no lookahead, lookbehind or such operators, near "(?!"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, out, problems := runImport(t, tt.stdin, tt.args...)
			first, _, _ := strings.Cut(problems, "\n")
			if status != tt.status || out != "" || first != tt.want {
				t.Errorf("status %d, %q\n%s", status, out, problems)
			}
		})
	}
}
