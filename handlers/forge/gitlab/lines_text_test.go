package gitlab

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

var updateLines = flag.Bool("update-lines", false, "write the golden files of threads at a line")

const lineCommit = "4f2c1a9d8e7b6a5f4e3d2c1b0a9f8e7d6c5b4a39"

// failingBuild is a report of a build that fails at a line; change makes it
// what the case is about.
func failingBuild(change func(*builder.Record)) builder.Report {
	r := builder.Record{
		Build: builder.Build{
			ID: "01JZK8Q3M5V7W9XA", Image: "api", Ref: "refs/heads/topic", Commit: lineCommit, Lane: builder.TrustedLane,
			Repository: builder.Repository{Forge: "gitlab", ID: "12", Owner: "acme/platform", Name: "shop", DefaultBranch: "main"},
			Tags:       []string{"topic"}, Spec: builder.Spec{Dockerfile: "build/Dockerfile"},
		},
		Progress: builder.Progress{State: builder.Failed, Attempt: 1, FinishedAt: time.Date(2026, 7, 7, 12, 0, 0, 0, time.UTC)},
		Result: builder.Result{Failure: &builder.Failure{
			Stage: builder.StageBuild, Message: "RUN make exited with 2", File: "build/Dockerfile", Line: 7, EndLine: 8,
			Excerpt: "   6 | COPY . .\n>> 7 | RUN make \\\n>> 8 |   all\n", Output: "make: *** [all] Error 2\n",
		}},
	}
	if change != nil {
		change(&r)
	}
	return builder.Report{
		Repository: r.Repository, Ref: r.Ref, Commit: r.StatusCommit(), Context: r.StatusContext(), State: builder.StatusFailure,
		Description: builder.Describe(r), BuildID: r.ID, Seq: 1, Newest: true, Record: &r, Event: &builder.Event{Commit: r.Commit},
	}
}

// refusedFile is a report of a build file that is refused.
func refusedFile(invalid ...config.Diagnostic) builder.Report {
	d := &builder.Decision{Invalid: invalid}
	return builder.Report{
		Repository: builder.Repository{Forge: "gitlab", ID: "12", Owner: "acme/platform", Name: "shop", DefaultBranch: "main"},
		Ref:        "refs/heads/topic", Commit: lineCommit, Context: builder.AggregateContext, State: builder.StatusError, Description: "x",
		Seq: 1, Newest: true, Decision: d, Event: &builder.Event{Commit: lineCommit},
	}
}

func troubleIn(t *testing.T, r builder.Report) trouble {
	t.Helper()
	got := troubleOf(r, "https://gitlab.example.com/acme/platform/shop", func(id string) string { return "https://builds.example.com/builds/" + id })
	if got == nil {
		t.Fatal("nothing to mend")
	}
	return *got
}

func TestTroubleBody(t *testing.T) {
	file := func(line int, message string) config.Diagnostic {
		return config.Diagnostic{File: config.BuildFileName, Line: line, Col: 5, Message: message}
	}
	cases := map[string]builder.Report{
		"build": failingBuild(nil),
		"hostile": failingBuild(func(r *builder.Record) {
			r.Image = "a`pi"
			r.Failure.File = "dir (1)/Docker file#1"
			r.Failure.EndLine = 0
			r.Failure.Message = "/close ask @ada about !12 ![x](https://example.com/x.png)\n/merge"
			r.Failure.Excerpt = "/close\n```\n/merge\n"
			r.Failure.Output = "\x1b[31m/bin/sh: make: not found\x1b[0m\r\n````\n/merge\n10%\r/approve\n"
		}),
		"file": refusedFile(file(3, `unknown key "imge"; did you mean "image"?`), file(9, "/close a*b"), file(0, "no images")),
		"rule": func() builder.Report {
			r := refusedFile()
			r.Decision.Reasons = []builder.Reason{
				{Image: "api", Line: 4, Error: true, Message: "may not be pushed to registry.example.com/x"},
				{Image: "web", Line: 9, Message: "no rule matches"},
			}
			return r
		}(),
	}
	for name, r := range cases {
		t.Run(name, func(t *testing.T) {
			body := troubleIn(t, r).body()
			if at := regexp.MustCompile(`(?m)^\s*/`).FindString(strings.ReplaceAll(body, "\n /", "")); at != "" {
				t.Errorf("%q may be a quick action in\n%s", at, body)
			}
			goldenLines(t, "lines-"+name+".md", body)
		})
	}
}

func goldenLines(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *updateLines {
		if err := os.WriteFile(file, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; go test ./handlers/forge/gitlab -update-lines writes it", err)
	}
	if diff := cmp.Diff(string(want), got+"\n"); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What GitLab is told is not too long, however much a build prints.
func TestTroubleBodyIsBounded(t *testing.T) {
	long := strings.Repeat("x@ada !12 #3 ", 20000)
	r := failingBuild(func(r *builder.Record) {
		r.Failure.Message, r.Failure.Excerpt, r.Failure.Output = long, long, long+strings.Repeat("`", 9000)
	})
	if n := len(troubleIn(t, r).body()); n > 100_000 {
		t.Errorf("%d bytes", n)
	}
	var many []config.Diagnostic
	for i := range 100 {
		many = append(many, config.Diagnostic{File: config.BuildFileName, Line: i + 1, Message: long})
	}
	if n := len(troubleIn(t, refusedFile(many...)).body()); n > 100_000 {
		t.Errorf("%d bytes", n)
	}
}

func TestTroubleOf(t *testing.T) {
	change := func(change func(*builder.Record)) builder.Report { return failingBuild(change) }
	cases := map[string]struct {
		report builder.Report
		shown  bool
	}{
		"fails at a line":     {change(nil), true},
		"without a line":      {change(func(r *builder.Record) { r.Failure.Line = 0 }), false},
		"without a file":      {change(func(r *builder.Record) { r.Failure.File = "" }), false},
		"uploaded Dockerfile": {change(func(r *builder.Record) { r.Spec.Inline = "FROM scratch" }), false},
		"cancelled":           {change(func(r *builder.Record) { r.State = builder.Cancelled }), false},
		"no failure":          {change(func(r *builder.Record) { r.Failure = nil }), false},
		"file refused":        {refusedFile(config.Diagnostic{File: config.BuildFileName, Message: "no images"}), true},
		"another commit's decision": {func() builder.Report {
			r := refusedFile(config.Diagnostic{File: config.BuildFileName, Line: 1, Message: "x"})
			r.Event.Commit = "other"
			return r
		}(), false},
		"file is fine": {refusedFile(), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := troubleOf(c.report, "", func(string) string { return "" })
			if (got != nil) != c.shown {
				t.Errorf("%+v", got)
			}
			if got != nil && got.Line < 1 {
				t.Errorf("line %d", got.Line)
			}
		})
	}
}

func TestMends(t *testing.T) {
	image := []builder.Reason{{Image: "api", Message: "no rule matches"}}
	decided := func(d builder.Decision) builder.Report {
		r := refusedFile()
		r.Decision = &d
		return r
	}
	cases := map[string]struct {
		report builder.Report
		want   bool
	}{
		"built":            {failingBuild(func(r *builder.Record) { r.State = builder.Succeeded }), true},
		"promoted":         {failingBuild(func(r *builder.Record) { r.State = builder.Promoted }), true},
		"failed":           {failingBuild(nil), false},
		"cancelled":        {failingBuild(func(r *builder.Record) { r.State = builder.Cancelled }), false},
		"superseded":       {failingBuild(func(r *builder.Record) { r.State = builder.Superseded }), false},
		"builds planned":   {decided(builder.Decision{Builds: []builder.Build{{}}}), true},
		"nothing to build": {decided(builder.Decision{Reasons: image}), true},
		"refused":          {decided(builder.Decision{Invalid: []config.Diagnostic{{}}, Reasons: image}), false},
		"source gone":      {decided(builder.Decision{Failure: &builder.Failure{}}), false},
		"overtaken":        {decided(builder.Decision{Reasons: []builder.Reason{{Message: "overtaken"}}}), false},
		"answer only":      {decided(builder.Decision{Answer: &builder.Answer{}}), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := mends(c.report); got != c.want {
				t.Errorf("%t", got)
			}
		})
	}
}

func TestPrint(t *testing.T) {
	same := troubleIn(t, failingBuild(nil)).print()
	cases := map[string]struct {
		change func(*builder.Record)
		same   bool
	}{
		"another commit":  {func(r *builder.Record) { r.Commit = strings.Repeat("ab", 20) }, true},
		"another output":  {func(r *builder.Record) { r.Failure.Output = "x" }, true},
		"another line":    {func(r *builder.Record) { r.Failure.Line = 9 }, false},
		"another file":    {func(r *builder.Record) { r.Failure.File = "Dockerfile" }, false},
		"another message": {func(r *builder.Record) { r.Failure.Message = "x" }, false},
		"another image":   {func(r *builder.Record) { r.Image = "web" }, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := troubleIn(t, failingBuild(c.change)).print(); (got == same) != c.same {
				t.Errorf("same: %t", got == same)
			}
		})
	}
}

func TestOldLine(t *testing.T) {
	const diff = "@@ -1,4 +1,5 @@\n FROM a\n-RUN b\n+RUN c\n+RUN d\n COPY e\n USER f\n@@ -20,3 +21,2 @@ LABEL\n CMD g\n-CMD h\n CMD i\n\\ No newline at end of file\n"
	cases := map[string]struct {
		diff string
		line int
		want int
		ok   bool
	}{
		"context":            {diff, 1, 1, true},
		"added":              {diff, 2, 0, false},
		"added, second":      {diff, 3, 0, false},
		"context after":      {diff, 4, 3, true},
		"between the hunks":  {diff, 10, 9, true},
		"second hunk":        {diff, 21, 20, true},
		"after a removed":    {diff, 22, 22, true},
		"after all":          {diff, 30, 30, true},
		"before the first":   {"@@ -10,1 +10,2 @@\n a\n+b\n", 3, 3, true},
		"new file":           {"@@ -0,0 +1,2 @@\n+a\n+b\n", 2, 0, false},
		"too large to tell":  {"", 2, 0, false},
		"one line hunk":      {"@@ -3 +3 @@\n-a\n+b\n", 3, 0, false},
		"line that is empty": {"@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n", 2, 2, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok := oldLine(c.diff, c.line)
			if got != c.want && c.ok || ok != c.ok {
				t.Errorf("%d %t, want %d %t", got, ok, c.want, c.ok)
			}
		})
	}
}
