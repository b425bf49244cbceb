package builder

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/config"
)

// checkChanges holds what is true of every comparison.
func checkChanges(t *testing.T, changes []Change) {
	t.Helper()
	if len(changes) > maxChanges+1 {
		t.Errorf("%d changes", len(changes))
	}
	for _, c := range changes {
		if c.Image == "" || c.Text == "" || c.Kind != ChangeAdded && c.Kind != ChangeChanged && c.Kind != ChangeRemoved {
			t.Errorf("%+v", c)
		}
		if n := utf8.RuneCountInString(c.Text); n > maxChangeText || strings.ContainsAny(c.Text, "\r\n\t") {
			t.Errorf("%d characters: %q", n, c.Text)
		}
	}
}

func TestCompare(t *testing.T) {
	const audit = `triggers: [{name: audit, webhook: {url: "https://audit.example.com/hook?key=1", credential: a}}]`
	long := strings.Repeat("x", 100)
	for _, tt := range []struct {
		name, before, after string // "": no file
		want                []string
	}{
		{"the same", "images: [{name: api}]", "images: [{name: api}]", nil},
		{"no file, and none", "", "", nil},
		{"what means nothing",
			`images: [{name: api, args: {A: "1", B: "${A}", C: "3"}, rules: [{branch: main, tags: [a, b]}]}, {name: web}]`,
			"# a comment\nversion: 1\nautomatic: true\nimages:\n  - rules: [{branch: '*'}, {tag: '*'}]\n    name: web\n" +
				"  - {context: ., dockerfile: ./Dockerfile, cache: true, match: first, rules: [{tags: [b, a], branch: main}], args: {C: 3, A: 1, B: '${A}'}, name: api}\n", nil},
		{"a new file", "", `images: [{name: api, platforms: [linux/amd64], rules: [{branch: main, tags: [latest]}, {pullRequest: true}], ` + audit + `}]`, []string{
			"api added: the image: dockerfile Dockerfile; context .; repository the default; platforms linux/amd64",
			"api added: rule branch: main: tags latest",
			"api added: rule pullRequest: true",
			"api added: trigger audit: on pushed; for tags all; webhook audit.example.com; credential a",
		}},
		{"a file that goes", "images: [{name: api}, {name: web}]", "", []string{
			"api removed: the image is not built any more", "web removed: the image is not built any more",
		}},
		{"the whole file", "images: [{name: api}]", "images: [{name: api}]\nautomatic: false\ntimezone: Asia/Shanghai", []string{
			"all images changed: automatic true -> false",
			"all images changed: timezone the server's -> Asia/Shanghai",
		}},
		{"an image", `images: [{name: api}]`,
			`images: [{name: api, dockerfile: a/Dockerfile, context: a, target: x, platforms: [linux/arm64], args: {A: "1"}, cache: false, paths: [a], match: all}]`, []string{
				"api changed: dockerfile Dockerfile -> a/Dockerfile", "api changed: context . -> a", "api changed: target none -> x",
				"api changed: platforms none -> linux/arm64", "api changed: args none -> A=1", "api changed: cache none -> false",
				"api changed: paths none -> a", "api changed: match none -> all",
			}},
		{"another repository", "images: [{name: api}]", "images: [{name: api, repository: acme/api}]", []string{"api changed: repository the default -> acme/api"}},
		{"a second image moves the first", "images: [{name: api}]", "images: [{name: api}, {name: web}]", []string{
			"api changed: repository the default -> the default with /api",
			"web added: the image: dockerfile Dockerfile; context .; repository the default with /web",
			"web added: rule branch: *: tags ${refName}-${commit}", "web added: rule tag: *: tags ${refName}-${commit}",
		}},
		{"the image without a name", "images: [{dockerfile: a}]", "images: [{name: hello, dockerfile: b}]", []string{"hello changed: dockerfile a -> b"}},
		{"rules", `images: [{name: api, rules: [{branch: main, tags: [latest]}, {tag: "v*"}, {branch: old}]}]`,
			`images: [{name: api, rules: [{branch: main, tags: [stable, latest], target: x, automatic: false, args: {A: b}}, {tag: "v*", tags: ["${tag}"], cache: false}, {branch: new}]}]`, []string{
				"api changed: rule branch: main: tags latest -> latest, stable", "api changed: rule branch: main: args none -> A=b",
				"api changed: rule branch: main: target none -> x", "api changed: rule branch: main: automatic none -> false",
				"api changed: rule tag: v*: tags ${refName}-${commit} -> ${tag}", "api changed: rule tag: v*: cache none -> false",
				"api added: rule branch: new: tags ${refName}-${commit}", "api removed: rule branch: old",
			}},
		{"secrets", `images: [{name: api, secrets: [{id: a, credential: x}, {id: b, credential: y}]}]`,
			`images: [{name: api, ssh: [{credential: key}], secrets: [{id: b, credential: y}, {id: a, credential: z}, {credential: cloud, secretIdVariable: ID, secretKeyVariable: KEY}]}]`, []string{
				"api changed: secrets a from x, b from y -> ID+KEY from cloud, a from z, b from y", "api changed: ssh none -> default from key",
			}},
		{"what triggers do", `images: [{name: api, triggers: [{name: prod, kubernetes: {cluster: a, namespace: shop, deployment: api}}, {name: team, chat: {credential: smtp, to: [a@example.com]}}, {name: hook, webhook: {url: "https://example.com/a"}}]}]`,
			`images: [{name: api, triggers: [{name: prod, kubernetes: {cluster: b, namespace: shop, cronJob: api, container: x}}, {name: team, chat: {credential: smtp, to: [b@example.com]}}, {name: hook, webhook: {url: "https://example.com/a", format: dockerhub}}, {name: new, gitops: {repository: acme/deploy, branch: main, file: a.yaml, helm: image, pullRequest: true}}, {name: roll, kubernetes: {cluster: b, namespace: shop, daemonSet: d, rollback: true, timeout: 90s}}]}]`, []string{
				"api changed: trigger prod: kubernetes a/shop/deployment/api -> b/shop/cronJob/api", "api changed: trigger prod: container none -> x",
				"api changed: trigger team: address: changed", "api changed: trigger hook: format none -> dockerhub",
				"api added: trigger new: on pushed; for tags all; gitops acme/deploy; branch main; file a.yaml; helm image; pull request true",
				"api added: trigger roll: on pushed; for tags all; kubernetes b/shop/daemonSet/d; rollback true; timeout 1m30s",
			}},
		{"another kind of trigger", `images: [{name: api, triggers: [{name: prod, chat: {credential: a, to: [a@example.com, b@example.com]}}]}]`,
			`images: [{name: api, triggers: [{name: prod, webhook: {url: "https://example.com/a"}}]}]`, []string{
				"api changed: trigger prod: webhook none -> example.com", "api changed: trigger prod: credential a -> none",
				"api changed: trigger prod: address: changed", "api changed: trigger prod: chat message -> none", "api changed: trigger prod: to 2 addresses -> none",
			}},
		{"rules in another order", `images: [{name: api, rules: [{branch: main}, {branch: "m*"}, {tag: a}]}]`,
			`images: [{name: api, rules: [{tag: b}, {branch: "m*"}, {branch: main}]}]`, []string{
				"api added: rule tag: b: tags ${refName}-${commit}", "api removed: rule tag: a",
				"api changed: rules are tried in another order: branch: m*; branch: main",
			}},
		{"an order that means nothing", `images: [{name: api, match: all, rules: [{branch: main}, {branch: "m*"}]}]`,
			`images: [{name: api, match: all, rules: [{branch: "m*"}, {branch: main}]}]`, nil},
		{"rules of one condition", `images: [{name: api, match: all, rules: [{branch: main}]}]`,
			`images: [{name: api, match: all, rules: [{branch: main}, {branch: main, tags: [x]}]}]`, []string{"api added: rule branch: main #2: tags x"}},
		{"triggers", `images: [{name: api, ` + audit + `}]`,
			`images: [{name: api, triggers: [{name: audit, on: [failed, pushed], tags: /^v/, environment: prod, webhook: {url: "https://audit.example.com/hook?key=2"}}, {name: tell, webhook: {url: "http://chat.example.com:8080/x"}}]}]`, []string{
				"api changed: trigger audit: on pushed -> failed, pushed", "api changed: trigger audit: for tags all -> /^v/",
				"api changed: trigger audit: environment none -> prod",
				"api changed: trigger audit: credential a -> none", "api changed: trigger audit: address: changed",
				"api added: trigger tell: on pushed; for tags all; webhook chat.example.com:8080",
			}},
		{"another host", `images: [{name: api, ` + audit + `}]`, `images: [{name: api, triggers: [{name: audit, webhook: {url: "https://other.example.com/hook", credential: a}}]}]`, []string{
			"api changed: trigger audit: webhook audit.example.com -> other.example.com", "api changed: trigger audit: address: changed",
		}},
		{"a trigger that goes", `images: [{name: api, ` + audit + `}]`, `images: [{name: api}]`, []string{"api removed: trigger audit"}},
		{"long values", fmt.Sprintf("images: [{name: api, args: {A: %s1}}]", long), fmt.Sprintf("images: [{name: api, args: {A: %s2, B: c}}]", long),
			[]string{"api changed: args: changed"}},
		{"a value of several lines", "images: [{name: api}]", "images: [{name: api, args: {A: \"b\\nc\"}}]", []string{"api changed: args none -> A=b c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parse := func(text string) *config.BuildFile {
				if text == "" {
					return nil
				}
				return parseFile(t, text)
			}
			changes := Compare(parse(tt.before), parse(tt.after), "Hello")
			checkChanges(t, changes)
			var got []string
			for _, c := range changes {
				got = append(got, c.Image+" "+c.Kind+": "+c.Text)
				if strings.Contains(c.Text, "key=") {
					t.Errorf("the whole address is told: %s", c.Text)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCompareTellsSoMany(t *testing.T) {
	var b strings.Builder
	b.WriteString("images:\n")
	for i := range 30 {
		fmt.Fprintf(&b, "  - {name: i%d, rules: [{branch: main}]}\n", i)
	}
	changes := Compare(nil, parseFile(t, b.String()), "hello")
	checkChanges(t, changes)
	if last := changes[len(changes)-1]; len(changes) != 51 || last != (Change{Image: "others", Kind: ChangeChanged, Text: "and 10 more"}) {
		t.Errorf("%d changes, the last %+v", len(changes), last)
	}
}
