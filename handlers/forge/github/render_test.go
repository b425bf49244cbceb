package github

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	someDigest = "sha256:9b2cf535f27731c974343645a3985328a1d0c1b5d0c1e5f2b0f5d5a8a1c2e3f4"
	someCommit = "4f2c1a9d8e7b6a5f4e3d2c1b0a9f8e7d6c5b4a39"
)

// someRecord is a build as most are; change makes it what the case is about.
func someRecord(change func(*builder.Record)) builder.Record {
	began := time.Date(2026, 7, 7, 12, 0, 0, 0, time.UTC)
	r := builder.Record{
		Build: builder.Build{
			ID: "01JZK8Q3M5V7W9XA", Image: "api", Lane: builder.TrustedLane, Ref: "refs/heads/main", Commit: someCommit, Actor: "ada",
			Repository: builder.Repository{Forge: "github", ID: "7", Owner: "acme", Name: "shop"},
			Rule:       "branch: main", Spec: builder.Spec{Context: ".", Dockerfile: "build/Dockerfile", Target: "release", Platforms: []string{"linux/amd64"}},
			Destination: "acme/shop", Tags: []string{"latest", "main-4f2c1a"},
		},
		Progress: builder.Progress{State: builder.Succeeded, Attempt: 1, StartedAt: began, FinishedAt: began.Add(12300 * time.Millisecond)},
	}
	r.Steps = []builder.Step{
		{Name: "FROM debian:bookworm-slim", Started: began, Ended: true, Cached: true},
		{Name: "COPY go.mod go.sum ./", Started: began, Took: 40 * time.Millisecond, Ended: true},
		{Name: "RUN make | tee `log`", Started: began, Took: 11 * time.Second, Ended: true},
	}
	if change != nil {
		change(&r)
	}
	return r
}

func pageOf(r builder.Record, log string, cut bool) buildPage {
	return buildPage{Record: r, Title: builder.Describe(r), Website: "https://github.com/acme/shop", Host: "registry.example.com",
		URL: "https://builds.example.com/builds/" + r.ID, Log: log, LogCut: cut}
}

func TestBuildPage(t *testing.T) {
	pushed := func(r *builder.Record) {
		r.Digest = someDigest
		r.Tagged = []builder.TagOutcome{{Tag: "main-4f2c1a", Moved: true}, {Tag: "latest", HeldBy: "c0ffee0000000000000000000000000000000000"}}
	}
	cases := map[string]buildPage{
		"queued": pageOf(someRecord(func(r *builder.Record) {
			r.Progress = builder.Progress{State: builder.Queued, Place: 3}
			r.Steps = nil
		}), "", false),
		"running": pageOf(someRecord(func(r *builder.Record) {
			r.State, r.FinishedAt = builder.Running, time.Time{}
			r.Steps[2].Ended, r.Steps[2].Took = false, 0
			r.Steps = append(r.Steps, builder.Step{Name: "RUN make install"})
		}), "not shown yet", false),
		"pushed": pageOf(someRecord(func(r *builder.Record) {
			pushed(r)
			r.Warnings = []string{"tag @latest of [another](https://example.com) ![image](https://example.com/x.png)"}
		}), "#5 \x1b[31mRUN make\x1b[0m\r\n10%\r50%\r100%\n@ada ![x](y)\n```\ndone\n", true),
		"promoted": pageOf(someRecord(func(r *builder.Record) {
			pushed(r)
			r.State, r.From, r.Steps = builder.Promoted, "01JZK8Q3M5V7W9X0", nil
		}), "", false),
		"failed": pageOf(someRecord(func(r *builder.Record) {
			r.State = builder.Failed
			r.Steps[2].Failed = true
			r.Failure = &builder.Failure{Stage: builder.StageBuild, Message: "RUN make exited with 2; ask @ada", File: "build/Dockerfile", Line: 7, EndLine: 8,
				Excerpt: "   6 | COPY . .\n>> 7 | RUN make \\\n>> 8 |   all\n", Output: "make: *** [all] Error 2\n"}
		}), "make: *** [all] Error 2\n", false),
		"superseded": pageOf(someRecord(func(r *builder.Record) {
			r.State, r.Reason, r.Steps = builder.Superseded, "by 9a8b7c on main", nil
		}), "", false),
		"cancelled": pageOf(someRecord(func(r *builder.Record) {
			r.State, r.Reason, r.Steps = builder.Cancelled, "by ada", nil
		}), "", false),
		"fork": pageOf(someRecord(func(r *builder.Record) { r.Lane, r.Rule = builder.ForkLane, "pullRequest: true" }), "", false),
	}
	for name, p := range cases {
		t.Run(name, func(t *testing.T) { golden(t, "build-"+name, p.render()) })
	}
}

func TestCommitPage(t *testing.T) {
	cases := map[string]struct {
		title string
		d     builder.Decision
	}{
		"builds": {"2 images to go", builder.Decision{
			Builds: []builder.Build{
				{ID: "01JZK8Q3M5V7W9XA", Image: "api", Rule: "branch: main", Tags: []string{"latest", "main"}},
				{ID: "01JZK8Q3M5V7W9XB", Image: "web", Rule: "branch: /a|b/"},
			},
			Reasons: []builder.Reason{
				{Image: "docs", Message: "none of its paths has changed", Unchanged: true},
				{Image: "api", Rule: "branch: *", Line: 9, Message: "not tried: branch: main matches first"},
			}}},
		"invalid": {".registry-build.yml:3:5: unknown key \"imge\"", builder.Decision{Invalid: config.Diagnostics{
			{File: ".registry-build.yml", Line: 3, Col: 5, Message: `unknown key "imge"; did you mean "image"?`},
			{File: ".registry-build.yml", Message: "no images"},
		}}},
		"refused": {"api: image api may not be pushed to x", builder.Decision{Reasons: []builder.Reason{
			{Image: "api", Line: 4, Error: true, Message: "image api may not be pushed to x.example.com/y"}}}},
		"fork":    {"waits", builder.Decision{Unapproved: someCommit}},
		"failure": {"the commit could not be read", builder.Decision{Failure: &builder.Failure{Message: "the commit could not be read"}}},
		"suggestion": {"no build file", builder.Decision{Hint: "no build file", Suggestion: &builder.Suggestion{
			Dockerfiles: []string{"Dockerfile", "web/Dockerfile"}, File: "images:\n  - name: shop\n"}}},
		"nothing": {"nothing to build: v1 matches no rule", builder.Decision{Reasons: []builder.Reason{
			{Image: "api", Message: "no rule matches tag v1"}, {Image: "api", Rule: "branch: main", Message: "tag v1 is no branch"}}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			golden(t, "commit-"+name, commitPage{
				Decision: c.d, Title: c.title, Website: "https://github.com/acme/shop", FullName: "acme/shop", Commit: someCommit,
				New:      "https://github.com/acme/shop/new/main?filename=.registry-build.yml",
				BuildURL: func(id string) string { return "https://builds.example.com/builds/" + id },
			}.render())
		})
	}
}

func golden(t *testing.T, name string, p page) {
	t.Helper()
	got := "# " + p.Title + "\n\n" + p.Summary
	if p.Text != "" {
		got += "\n---\n\n" + p.Text
	}
	file := filepath.Join("testdata", "page", name+".md")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./handlers/forge/github -run %s -update", err, t.Name())
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

// TestPageLimits renders builds of every kind of unfriendly text and size.
func TestPageLimits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 63 {
		size := []int{0, 10, 1000, maxText - 300, maxText - 100, maxText, 200_000}[i%7]
		log := unfriendly(rng, size) + "\nTHE END " + fmt.Sprint(i)
		r := someRecord(func(r *builder.Record) {
			r.State = []builder.State{builder.Failed, builder.Succeeded, builder.Cancelled}[i%3]
			r.Digest = someDigest
			r.Failure = &builder.Failure{Message: unfriendly(rng, 3000), File: "Dockerfile", Line: 1, Excerpt: unfriendly(rng, size), Output: unfriendly(rng, size)}
			for range i * 2 {
				r.Steps = append(r.Steps, builder.Step{Name: unfriendly(rng, 300), Ended: true})
				r.Tagged = append(r.Tagged, builder.TagOutcome{Tag: unfriendly(rng, 40)})
				r.Warnings = append(r.Warnings, unfriendly(rng, 900))
			}
		})
		p := pageOf(r, log, i%2 == 0).render()
		for what, s := range map[string]string{"summary": p.Summary, "text": p.Text} {
			if markdown.Closed(s) != s {
				t.Fatalf("case %d: a fence of the %s is not closed", i, what)
			}
			if len(s) > maxText || !utf8.ValidString(s) {
				t.Fatalf("case %d: %s has %d bytes, valid: %v", i, what, len(s), utf8.ValidString(s))
			}
		}
		if n := utf8.RuneCountInString(p.Title); n == 0 || n > maxTitle {
			t.Fatalf("case %d: title of %d characters", i, n)
		}
		body, ok := strings.CutSuffix(strings.TrimRight(strings.TrimRight(p.Text, "\n"), "`"), fmt.Sprintf("THE END %d\n", i))
		if !ok {
			t.Fatalf("case %d: the end of the log is missing: …%q", i, body[max(0, len(body)-80):])
		}
		for _, a := range buildAnnotations(r) {
			if len(a.GetMessage()) > 64<<10 || a.GetMessage() == "" || utf8.RuneCountInString(a.GetTitle()) > 255 || a.GetStartLine() > a.GetEndLine() {
				t.Fatalf("case %d: annotation %v", i, a)
			}
		}
	}
}

// unfriendly is text that is hard to put into Markdown.
func unfriendly(rng *rand.Rand, size int) string {
	pieces := []string{"`", "```", "~~~", "\n", "\n````", "@ada", "![x](http://x)", "<img src=x>", "|", "ü", "世", "🐳", "\xff", "\x1b[31m", "\r", "word ", "#12", "\n" + strings.Repeat("`", 400), "</pre>", "&#64;ada", "-->"}
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.String()
}

func TestHarmless(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"name", "hi @ada, see acme/shop#12", "hi @\u200bada, see acme/shop#\u200b12"},
		{"in code", "`@ada` and ``#1 ` @x``", "`@ada` and ``#1 ` @x``"},
		{"fence", "```\n@ada\n```\n@bob", "```\n@ada\n```\n@\u200bbob"},
		{"entity", "&#64;ada", "&#64;\u200bada"},
		{"image", "![x](y) <img src=x>", "!\u200b[x](y) &lt;img src=x>"},
		{"mail", "no names: a@ b", "no names: a@ b"},
		{"marker", "<!-- registry-build -->\n@ada", "<!-- registry-build -->\n@\u200bada"},
		{"heading", "# title", "# title"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, markdown.Harmless(c.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestClosed(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"none", "a\nb", "a\nb"},
		{"closed", "```sh\na\n```\nb", "```sh\na\n```\nb"},
		{"open", "a\n````text\n```\nb", "a\n````text\n```\nb\n````"},
		{"tildes", "~~~\n```", "~~~\n```\n~~~"},
		{"code span", "```a``` b", "```a``` b"},
		{"indented", "    ```", "    ```"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, markdown.Closed(c.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCode(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"plain", "a b", "`a b`"},
		{"ticks inside", "a `b` ``c``", "``` a `b` ``c`` ```"},
		{"lines", "a\n b\r\n", "`a b`"},
		{"empty", " \n", ""},
		{"escapes", "\x1b[31mred\x1b[0m", "`red`"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, markdown.Code(c.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
