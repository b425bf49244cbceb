package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestBuildFilesThatAreRight(t *testing.T) {
	for _, name := range files(t, "ok") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			if _, ds := ParseBuildFile(name, read(t, name)); len(ds) > 0 {
				t.Error(ds.Error())
			}
		})
	}
}

func parseOK(t *testing.T, text string) *BuildFile {
	t.Helper()
	f, ds := ParseBuildFile(BuildFileName, []byte(text))
	if len(ds) > 0 {
		t.Fatal(ds.Error())
	}
	return f
}

func pattern(t *testing.T, s string) *Pattern {
	t.Helper()
	p, err := ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func template(t *testing.T, s string) Template {
	t.Helper()
	tm, err := ParseTemplate(s)
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

func TestBuildFileDefaults(t *testing.T) {
	want := &BuildFile{
		Automatic: true,
		Images: []Image{{
			Name: "app", Context: ".", Dockerfile: "Dockerfile", Cache: true, Match: MatchFirst, Pos: Position{1, 10},
			Rules: []Rule{{Branch: pattern(t, "*"), Pos: Position{1, 10}}, {Tag: pattern(t, "*"), Pos: Position{1, 10}}},
		}},
	}
	if diff := cmp.Diff(want, parseOK(t, "images: [{name: app}]")); diff != "" {
		t.Error(diff)
	}
}

func TestBuildFileFull(t *testing.T) {
	f, ds := ParseBuildFile("full.yml", read(t, "testdata/ok/full.yml"))
	if len(ds) > 0 {
		t.Fatal(ds.Error())
	}
	no := false
	dot, debug, dockerfile := ".", "debug", "Dockerfile"
	tags := func(ss ...string) (out []Template) {
		for _, s := range ss {
			out = append(out, template(t, s))
		}
		return out
	}
	latest, err := selectTags([]string{"latest", "stable"})
	if err != nil {
		t.Fatal(err)
	}
	semicolons, _ := ParseTagSelector("latest;stable")
	versions, _ := ParseTagSelector(`/^v\d/`)
	want := &BuildFile{
		Timezone: "Asia/Shanghai",
		Images: []Image{{
			Name: "api", Repository: "registry.example.com/acme/api",
			Context: "services/api", Dockerfile: "build/Dockerfile", Target: "release",
			Platforms: []string{"linux/amd64"}, Cache: true, Match: MatchFirst,
			Secrets: []Secret{
				{ID: "npmrc", Credential: "npm-token"},
				{Credential: "cloud", SecretIDVariable: "CLOUD_API_SECRET_ID", SecretKeyVariable: "CLOUD_API_SECRET_KEY"},
			},
			SSH:   []SSH{{ID: "default", Credential: "deploy-key"}, {ID: "vendor", Credential: "vendor-key"}},
			Paths: Paths{"services/api/**", "go.mod", "!**/*.md"},
			Args: []Arg{
				{Name: "VERSION", Value: template(t, "${refName}")},
				{Name: "FULL", Value: template(t, "v-${VERSION}-${commit:40}")},
				{Name: "NUMBER", Value: template(t, "1.10")},
				{Name: "EMPTY"},
			},
			Rules: []Rule{
				{Branch: pattern(t, "main"), Tags: tags("latest", "main-${time:yyyyMMddHHmm}-${commit:7}")},
				{Branch: pattern(t, `/release-(?<imageTag>\w*)/`), Tags: tags("${imageTag}-${time:yyyyMMdd}-${commit}")},
				{Ref: pattern(t, "/^refs/heads/master$/"), Tags: tags("stable", "${branch}")},
				{Ref: pattern(t, "refs/tags/rc-*"), Tags: tags("${tag}", "${buildTime:HH-mm-ss}", "${owner}-${repo}")},
				{
					Tag: pattern(t, "v*"), Tags: tags("${tag}", "1.10"),
					Args:      []Arg{{Name: "RELEASE", Value: template(t, "1")}, {Name: "VERSION", Value: template(t, "${tag}")}},
					Platforms: []string{"linux/arm64"}, Target: &debug, Context: &dot, Dockerfile: &dockerfile,
					Cache: &no, Automatic: &no,
				},
				{Branch: pattern(t, "*")},
				{PullRequest: true, Tags: tags("pr-${number}", "${refName}")},
			},
			Triggers: []Trigger{
				{Name: "audit", On: []Outcome{OnPushed}, Webhook: &Webhook{URL: "https://audit.example.com/hook", Credential: "audit-secret"}},
				{Name: "tell-team", Tags: versions, On: []Outcome{OnPushed, OnFailed, OnRecovered}, Webhook: &Webhook{URL: "http://chat.example.com:8080/hook?room=1"}},
				{Name: "both", Tags: semicolons, Environment: "production", On: []Outcome{OnPushed}, Webhook: &Webhook{URL: "https://example.com"}},
				{Name: "list", Tags: latest, On: []Outcome{OnPushed}, Webhook: &Webhook{URL: "https://example.com", Format: FormatCloudEvents}},
				{Name: "portainer", On: []Outcome{OnPushed}, Webhook: &Webhook{URL: "https://example.com/api/webhooks/1", Format: FormatDockerHub}},
				{Name: "prod", Tags: versions, On: []Outcome{OnPushed}, Kubernetes: &Kubernetes{
					Cluster: "prod", Namespace: "shop", Kind: Deployment, Name: "api", Container: "api", Rollback: true, Timeout: 15 * time.Minute,
				}},
				{Name: "db", On: []Outcome{OnPushed}, Kubernetes: &Kubernetes{Cluster: "prod", Namespace: "shop", Kind: StatefulSet, Name: "db"}},
				{Name: "agent", On: []Outcome{OnPushed}, Kubernetes: &Kubernetes{Cluster: "prod", Namespace: "shop", Kind: DaemonSet, Name: "agent.v1"}},
				{Name: "nightly", On: []Outcome{OnPushed}, Kubernetes: &Kubernetes{Cluster: "prod", Namespace: "shop", Kind: CronJob, Name: "nightly"}},
				{Name: "manifests", On: []Outcome{OnPushed}, GitOps: &GitOps{
					Repository: "acme/deploy", Branch: "main", File: "shop/kustomization.yaml", Kustomize: "api", PullRequest: true,
				}},
			},
		}, {
			Name: "web", Context: ".", Dockerfile: "Dockerfile", Cache: true, Match: MatchFirst, Rules: defaultRules(Position{}),
			Secrets: []Secret{{ID: "ca.pem", Credential: "ca"}},
			Triggers: []Trigger{
				{Name: "values", On: []Outcome{OnPushed}, GitOps: &GitOps{
					Repository: "https://git.example.com/acme/deploy.git", File: "values.yaml", Helm: "image", Credential: "deploy-token",
				}},
				{Name: "plain", On: []Outcome{OnPushed}, GitOps: &GitOps{
					Repository: "github:acme/deploy", File: "pod.yaml", Path: "spec.containers[name=api].image",
				}},
				{Name: "robot", On: []Outcome{OnFailed, OnRecovered}, Chat: &Chat{Credential: "team-robot"}},
				{Name: "mail", On: []Outcome{OnPushed}, Chat: &Chat{Credential: "smtp", To: []string{"team@example.com", "ops@example.com"}}},
			},
		}},
	}
	if diff := cmp.Diff(want, f, cmpopts.IgnoreTypes(Position{})); diff != "" {
		t.Error(diff)
	}
	if r := f.Images[0].Rules[1]; r.String() != `branch: /release-(?<imageTag>\w*)/` || r.Pos != (Position{27, 9}) {
		t.Errorf("rule %s at %v", r, r.Pos)
	}
}

func TestMergeArgs(t *testing.T) {
	f, ds := ParseBuildFile("args.yml", read(t, "testdata/ok/args.yml"))
	if len(ds) > 0 {
		t.Fatal(ds.Error())
	}
	im := f.Images[0]
	var got []string
	for _, a := range MergeArgs(im.Args, im.Rules[0].Args) {
		got = append(got, a.Name+"="+a.Value.String())
	}
	want := []string{"VERSION=${tag}", "LABEL=app-${VERSION}", "Case=a", "CASE=b", "branch=x", "EXTRA=${LABEL}-$HOME-$${literal}"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if im.Args[0].Value.String() != "dev" {
		t.Error("MergeArgs changed the image's own")
	}
}

func TestArgumentNeverHidesAVariable(t *testing.T) {
	_, ds := ParseBuildFile(BuildFileName, []byte(`images: [{name: app, args: {tag: x}, rules: [{branch: main, tags: ["${tag}"]}]}]`))
	if len(ds) != 1 || !strings.Contains(ds[0].Message, "has no value") {
		t.Error(ds.Error())
	}
}

func TestProblemsAreCut(t *testing.T) {
	_, ds := ParseBuildFile(BuildFileName, []byte("images: [{name: app}]\n"+strings.Repeat("? [a]\n: b\n", 500)))
	if len(ds) != maxDiagnostics+1 || ds[maxDiagnostics].Message != "and 400 more problems from here on" {
		t.Errorf("%d problems, the last: %v", len(ds), ds[len(ds)-1])
	}
	_, ds = ParseBuildFile(BuildFileName, []byte(strings.Repeat("x", 10000)+": 1"))
	if n := len(ds.Error()); n > 2000 {
		t.Errorf("a message of %d bytes", n)
	}
}

func TestRulesOfAllImages(t *testing.T) {
	file := func(images int) string {
		var b strings.Builder
		b.WriteString("images:\n")
		for i := range images {
			fmt.Fprintf(&b, "  - {name: i%d, rules: [%s]}\n", i, strings.Repeat("{branch: a},", 100))
		}
		return b.String()
	}
	if _, ds := ParseBuildFile(BuildFileName, []byte(file(5))); len(ds) != 0 {
		t.Error(ds)
	}
	if _, ds := ParseBuildFile(BuildFileName, []byte(file(6))); len(ds) != 1 || ds[0].Line != 7 || !strings.Contains(ds[0].Message, "at most 500 rules") {
		t.Error(ds)
	}
}

// TestHostileFiles: files up to the limit that are made to cost time. All of
// them take well under a second; the bound finds what grows with the square
// of the file, which takes minutes, on a machine that is busy with other tests.
func TestHostileFiles(t *testing.T) {
	for name, text := range map[string]string{
		"deep":            "images: " + strings.Repeat("[", 9000),
		"deep, closed":    "images: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"own alias":       "images: &a [*a]",
		"many aliases":    "a: &a x\nimages: [" + strings.Repeat("*a,", 80000) + "]",
		"many lines":      strings.Repeat("a: [\n", 50000),
		"many keys":       "images:\n  - " + strings.Repeat("k: 1\n    ", 20000),
		"many images":     "images: [" + strings.Repeat("{},", 80000) + "]",
		"long argument":   `images: [{args: {A: "` + strings.Repeat("${x}", 60000) + `"}}]`,
		"many variables":  `images: [{rules: [{branch: main, tags: [` + strings.Repeat(`"`+strings.Repeat("${x}", 600)+`",`, 99) + `]}]}]`,
		"long tag":        `images: [{rules: [{branch: main, tags: ["` + strings.Repeat("$", 200000) + `"]}]}]`,
		"heavy pattern":   `images: [{rules: [{branch: "/(((a{1,100}){1,100}){1,100})/"}]}]`,
		"many heavy ones": `images: [{rules: [` + strings.Repeat(`{branch: "/(\\pL{1,9}){1,99}/"},`, 99) + `]}]`,
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			ParseBuildFile(BuildFileName, []byte(text))
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func FuzzParseBuildFile(f *testing.F) {
	for _, dir := range []string{"ok", "err"} {
		names, _ := filepath.Glob(filepath.Join("testdata", dir, "*.yml"))
		for _, name := range names {
			if data := readSeed(name); len(data) < 4096 {
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, ds := ParseBuildFile(BuildFileName, data)
		if (file == nil) == (len(ds) == 0) {
			t.Fatalf("file %v with problems %v", file, ds)
		}
		_ = ds.Error()
		if file != nil {
			useBuildFile(t, file)
		}
	})
}

// useBuildFile does with an accepted file what a plan does: every template
// must have all its values for every rule.
func useBuildFile(t *testing.T, f *BuildFile) {
	for _, im := range f.Images {
		for _, rule := range im.Rules {
			if p := rule.pattern(); p != nil {
				p.Match("main")
			}
			names := rule.variables()
			lookup := func(name, format string) (string, error) {
				for _, n := range names {
					if n == name {
						return "x", nil
					}
				}
				t.Errorf("rule %s: ${%s} has no value", rule, name)
				return "", nil
			}
			for _, a := range MergeArgs(im.Args, rule.Args) {
				_, _ = a.Value.Expand(lookup)
				names = append(names, a.Name)
			}
			for _, tag := range rule.Tags {
				_, _ = tag.Expand(lookup)
			}
		}
		for _, tr := range im.Triggers {
			tr.Tags.Match("latest")
			checkTrigger(t, tr)
		}
		for _, s := range im.Secrets {
			if s.Credential == "" || (s.ID == "") != (s.SecretIDVariable != "" && s.SecretKeyVariable != "") || s.SecretIDVariable == s.SecretKeyVariable && s.ID == "" {
				t.Errorf("secret %+v", s)
			}
		}
		for _, s := range im.SSH {
			if s.Credential == "" || s.ID == "" {
				t.Errorf("ssh %+v", s)
			}
		}
	}
}

// checkTrigger holds what is true of every trigger that was read.
func checkTrigger(t *testing.T, tr Trigger) {
	t.Helper()
	does := 0
	if tr.Webhook != nil {
		does++
	}
	if k := tr.Kubernetes; k != nil {
		does++
		if k.Cluster == "" || k.Namespace == "" || k.Kind == "" || k.Name == "" || k.Timeout != 0 && (k.Timeout < minRollout || k.Timeout > maxRollout) {
			t.Errorf("trigger %q: %+v", tr.Name, k)
		}
	}
	if g := tr.GitOps; g != nil {
		does++
		if g.Repository == "" || g.File == "" || strings.HasPrefix(g.File, "/") || strings.HasPrefix(g.File, "..") ||
			g.Kustomize == "" && g.Helm == "" && g.Path == "" || strings.HasPrefix(g.Repository, "https:") == (g.Credential == "") {
			t.Errorf("trigger %q: %+v", tr.Name, g)
		}
	}
	if tr.Chat != nil {
		does++
	}
	if does != 1 || len(tr.On) == 0 {
		t.Errorf("trigger %q does %d things, on %v", tr.Name, does, tr.On)
	}
}
