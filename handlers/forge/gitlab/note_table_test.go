package gitlab

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
)

const (
	noteOlder = "0000000000000000000000000000000000000001"
	noteNewer = "ffffffffffffffffffffffffffffffffffffffff"
)

func noteAt(commit string) func(*builder.Record) {
	return func(b *builder.Record) { b.Commit, b.Pull = commit, &builder.Pull{Number: 3, Head: commit} }
}

// told is the note after the reports, and what the last one asked for.
func noteAfter(t *testing.T, said string, reports ...builder.Report) (n note, last revision) {
	t.Helper()
	f, _, _ := noteForge(t, "https://gitlab.example.com", "glpat-x")
	n.Said = said
	for _, r := range reports {
		before := n
		var err error
		if last, err = f.tabulate(t.Context(), &n, r, f.tableRow(r), shownOn{3, true}); err != nil {
			t.Fatal(err)
		}
		if last == nothing && n.Table == nil {
			n = before
		}
	}
	return n, last
}

func TestNoteWithTable(t *testing.T) {
	n, _ := noteAfter(t, "> `/why` by `@ada`\n\nno rule matches",
		noteReport("web", 5, 1, builder.Running, func(b *builder.Record) {
			b.Steps = []builder.Step{{Name: "[1/2] FROM node", Started: b.StartedAt, Ended: true}, {Name: "[2/2] RUN npm ci | tee @all", Started: b.StartedAt}}
		}),
		noteReport("api", 5, 2, builder.Succeeded, func(b *builder.Record) {
			b.Tagged = append(b.Tagged, builder.TagOutcome{Tag: "latest", HeldBy: noteOlder})
		}),
		noteReport("docs", 5, 3, builder.Failed, func(b *builder.Record) {
			b.Failure = &builder.Failure{Message: "RUN make | sh failed\nwith `exit` code 2; ask @ada about #12", File: "build/a (b).Dockerfile", Line: 7}
		}),
		noteReport("tool", 5, 4, builder.Queued, nil),
		noteReport("base", 5, 5, builder.Succeeded, func(b *builder.Record) { b.Lane = builder.ForkLane }),
		noteReport("plain", 5, 5, builder.Promoted, func(b *builder.Record) { b.Tagged, b.Tags = nil, nil }),
		noteReport("many", 5, 5, builder.Succeeded, func(b *builder.Record) {
			b.Tagged = []builder.TagOutcome{{Tag: "a"}, {Tag: "b"}, {Tag: "c"}, {Tag: "d"}, {Tag: "e"}}
		}),
		noteReport("gone", 5, 5, builder.Superseded, func(b *builder.Record) { b.Reason = "by a newer push" }),
		noteAll(5, 6, noteHead, builder.StatusPending, "3 images to go"),
	)
	want := strings.ReplaceAll(`<!-- registry-build -->

Images of ['4f2c1a00'](https://gitlab.example.com/acme/platform/shop/-/commit/4f2c1a0000000000000000000000000000000000):

| Image | State | | |
|---|---|---|---|
| 'api' | ✅ built | 'registry.example.com/acme/platform/shop/api:mr-3', 'sha256:6c3c624b58db'; one tag stays on a newer image | [log](https://builds.example.com/builds/06BUILD-api) |
| 'base' | ✅ built | in 12 s; it comes from a fork, so nothing is pushed | [log](https://builds.example.com/builds/06BUILD-base) |
| 'docs' | ❌ failed | ['build/a (b).Dockerfile:7'](https://gitlab.example.com/acme/platform/shop/-/blob/4f2c1a0000000000000000000000000000000000/build/a%20%28b%29.Dockerfile#L7): RUN make \| sh failed with \'exit\' code 2; ask @`+"\u200b"+`ada about \#`+"\u200b"+`12 | [log](https://builds.example.com/builds/06BUILD-docs) |
| 'gone' | ⏭️ superseded | by a newer push | [log](https://builds.example.com/builds/06BUILD-gone) |
| 'many' | ✅ built | 'registry.example.com/acme/platform/shop/many:a', 'registry.example.com/acme/platform/shop/many:b', 'registry.example.com/acme/platform/shop/many:c' and 2 more, 'sha256:6c3c624b58db' | [log](https://builds.example.com/builds/06BUILD-many) |
| 'plain' | ✅ built before | 'registry.example.com/acme/platform/shop/plain@sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b' | [log](https://builds.example.com/builds/06BUILD-plain) |
| 'tool' | ⏳ queued | 3rd in line | [log](https://builds.example.com/builds/06BUILD-tool) |
| 'web' | 🔨 building | step 2 of 2: RUN npm ci \| tee @`+"\u200b"+`all | [log](https://builds.example.com/builds/06BUILD-web) |

---

> '/why' by '@ada'

no rule matches
`, "'", "`")
	if diff := cmp.Diff(want, n.body()); diff != "" {
		t.Errorf("note (-want +got):\n%s", diff)
	}
}

func TestTableInOrder(t *testing.T) {
	unchanged := noteAll(5, 9, noteHead, builder.StatusSuccess, "unchanged: no file of it has changed")
	unchanged.Context += "/web"
	rollout := noteReport("api", 5, 9, builder.Succeeded, nil)
	rollout.Record, rollout.Context, rollout.Trigger = nil, rollout.Context+": prod", "prod"
	rollout.Run, rollout.State, rollout.Description = &builder.TriggerRun{State: builder.RunFailed}, builder.StatusFailure, "prod: out of time"
	tests := []struct {
		name    string
		reports []builder.Report
		want    string // rows: image state
		commit  string
		last    revision
	}{
		{"the first", []builder.Report{noteReport("api", 5, 1, builder.Queued, nil)}, "api ⏳ queued", noteHead, atOnce},
		{"a new state", []builder.Report{noteReport("api", 5, 1, builder.Queued, nil), noteReport("api", 5, 2, builder.Running, nil)}, "api 🔨 building", noteHead, atOnce},
		{"progress", []builder.Report{noteReport("api", 5, 1, builder.Running, nil), noteReport("api", 5, 2, builder.Running, nil)}, "api 🔨 building", noteHead, inTime},
		{"late progress", []builder.Report{noteReport("api", 5, 2, builder.Running, nil), noteReport("api", 5, 1, builder.Queued, nil)}, "api 🔨 building", noteHead, nothing},
		{"an end by a slow clock", []builder.Report{noteReport("api", 5, 9, builder.Running, nil), noteReport("api", 5, 1, builder.Failed, nil)}, "api ❌ failed", noteHead, atOnce},
		{"late after the end", []builder.Report{noteReport("api", 5, 9, builder.Failed, nil), noteReport("api", 5, 8, builder.Running, nil)}, "api ❌ failed", noteHead, nothing},
		{"a rebuild", []builder.Report{noteReport("api", 5, 9, builder.Failed, nil), noteReport("api", 6, 1, builder.Queued, nil)}, "api ⏳ queued", noteHead, atOnce},
		{"a newer head", []builder.Report{noteReport("api", 5, 9, builder.Failed, nil), noteReport("web", 5, 9, builder.Failed, nil), noteReport("api", 6, 1, builder.Queued, noteAt(noteNewer))}, "api ⏳ queued", noteNewer, atOnce},
		{"an older head", []builder.Report{noteReport("api", 5, 1, builder.Queued, nil), noteReport("api", 4, 9, builder.Failed, noteAt(noteOlder))}, "api ⏳ queued", noteHead, nothing},
		{"only all of them", []builder.Report{noteAll(5, 1, noteHead, builder.StatusSuccess, "nothing to build")}, "", "", nothing},
		{"all of them beside a row", []builder.Report{noteReport("api", 5, 1, builder.Queued, nil), noteAll(5, 1, noteHead, builder.StatusPending, "1 image to go")}, "api ⏳ queued", noteHead, remember},
		{"nothing at a newer head", []builder.Report{noteReport("api", 5, 1, builder.Failed, nil), noteAll(6, 1, noteNewer, builder.StatusError, "line 3: unknown key")}, "", noteNewer, atOnce},
		{"unchanged", []builder.Report{noteReport("api", 5, 1, builder.Queued, nil), unchanged}, "api ⏳ queued, web ✅", noteHead, atOnce},
		{"a trigger", []builder.Report{noteReport("api", 5, 1, builder.Succeeded, nil), rollout}, "api ✅ built, api: prod ❌ failed", noteHead, atOnce},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, last := noteAfter(t, "", tt.reports...)
			var rows []string
			commit := ""
			if n.Table != nil {
				commit = n.Table.Commit
				for _, r := range n.Table.Rows {
					rows = append(rows, strings.TrimPrefix(r.Context, builder.AggregateContext+"/")+" "+r.State)
				}
			}
			if got := strings.Join(rows, ", "); got != tt.want || commit != tt.commit || last != tt.last {
				t.Errorf("rows %q at %s, asked for %d; want %q at %s, %d", got, commit, last, tt.want, tt.commit, tt.last)
			}
		})
	}
	n, _ := noteAfter(t, "", tests[11].reports...)
	if want := "❌ [`ffffffff`](https://gitlab.example.com/acme/platform/shop/-/commit/" + noteNewer + "): line 3: unknown key\n"; !strings.HasSuffix(n.body(), want) {
		t.Errorf("without builds:\n%s", n.body())
	}
}

// However many images there are, the note stays within what people read.
func TestTableIsBounded(t *testing.T) {
	var reports []builder.Report
	for i := range 80 {
		reports = append(reports, noteReport(strings.Repeat("n", 100)+time.Duration(i).String(), 5, 1, builder.Failed, func(b *builder.Record) {
			b.Failure = &builder.Failure{Message: strings.Repeat("`*|@", 2000), File: strings.Repeat("d/", 100) + "Dockerfile", Line: 1}
		}))
	}
	n, _ := noteAfter(t, "", reports...)
	body := n.body()
	if len(body) > 200_000 || strings.Count(body, "\n| ") != maxTableRows+2 || !strings.Contains(body, "and 30 more") {
		t.Errorf("%d bytes, %d rows", len(body), strings.Count(body, "\n| "))
	}
}
