package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

var (
	onPull   = builder.Thread{Repository: repository("a"), Pull: 5}
	onCommit = builder.Thread{Repository: repository("a"), Commit: "c1"}
)

func remark(t testing.TB, s *store.Store, on builder.Thread, remarks ...builder.Remark) builder.Thread {
	t.Helper()
	all, err := s.Remark(ctx, on, remarks...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// said is a thread in short: "topic text".
func said(all builder.Thread) []string {
	var short []string
	for _, r := range all.Remarks {
		short = append(short, r.Topic+" "+r.Text)
	}
	return short
}

func TestRemarks(t *testing.T) {
	r := func(topic, text string, seq int64) builder.Remark {
		return builder.Remark{Topic: topic, Text: text, Seq: seq}
	}
	type step struct {
		add   []builder.Remark
		want  []string
		shown bool
	}
	tests := map[string][]step{
		"by event, then by topic": {
			{[]builder.Remark{r("e3", "three", 3)}, []string{"e3 three"}, false},
			{[]builder.Remark{r("e1", "one", 1), r("e2b", "b", 2), r("e2a", "a", 2)}, []string{"e1 one", "e2a a", "e2b b", "e3 three"}, true},
		},
		"a newer one takes the place": {
			{[]builder.Remark{r("fork", "wait", 1)}, []string{"fork wait"}, false},
			{[]builder.Remark{r("fork", "wait more", 2)}, []string{"fork wait more"}, true},
		},
		"the same again": {
			{[]builder.Remark{r("e1", "one", 1)}, []string{"e1 one"}, false},
			{[]builder.Remark{r("e1", "one", 1)}, []string{"e1 one"}, true},
		},
		"an older one comes late": {
			{[]builder.Remark{r("fork", "new", 2)}, []string{"fork new"}, false},
			{[]builder.Remark{r("fork", "old", 1)}, []string{"fork new"}, true},
		},
		"dropped": {
			{[]builder.Remark{r("fork", "wait", 1), r("e1", "one", 1)}, []string{"e1 one", "fork wait"}, false},
			{[]builder.Remark{r("fork", "", 2)}, []string{"e1 one"}, true},
			{[]builder.Remark{r("e1", "", 2)}, nil, true},
			{nil, nil, true}, // there is a comment, with nothing in it
		},
		"dropped before it was said": {
			{[]builder.Remark{r("fork", "", 2), r("changes", "", 2)}, nil, false},
			{[]builder.Remark{r("fork", "wait", 1)}, nil, false},
			{[]builder.Remark{r("fork", "again", 3)}, []string{"fork again"}, false},
		},
		"nothing yet": {{nil, nil, false}},
	}
	s := storetest.New(t, store.Options{})
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			on := builder.Thread{Repository: repository(name), Pull: 1}
			for i, st := range steps {
				all := remark(t, s, on, st.add...)
				if diff := cmp.Diff(st.want, said(all)); diff != "" || all.Shown != st.shown {
					t.Errorf("step %d: shown %t, want %t (-want +got):\n%s", i, all.Shown, st.shown, diff)
				}
			}
		})
	}
}

func TestRemarkKeepsAllOfIt(t *testing.T) {
	s := storetest.New(t, store.Options{})
	want := builder.Remark{Topic: "github:1", Command: "/why \"x\"", By: "ada", Text: "because\n\n- ü", Seq: 1 << 52,
		At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}
	for name, on := range map[string]builder.Thread{"pull": onPull, "commit": onCommit} {
		got := remark(t, s, on, want)
		expect := on
		expect.Remarks = []builder.Remark{want}
		if diff := cmp.Diff(expect, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestThreadKeepsItsLastRemarks(t *testing.T) {
	s := storetest.New(t, store.Options{})
	remark(t, s, onPull, builder.Remark{Topic: builder.TopicFork, Text: "wait", Seq: 1}, builder.Remark{Topic: builder.TopicChanges, Text: "adds", Seq: 1})
	want := []string{"changes adds", "fork wait"}
	for i := range int64(30) {
		topic := fmt.Sprintf("e%02d", i)
		remark(t, s, onPull, builder.Remark{Topic: topic, Text: "answer", Seq: 2 + i})
		if i >= 12 {
			want = append(want, topic+" answer")
		}
	}
	if diff := cmp.Diff(want, said(remark(t, s, onPull))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// An answer that is carried again, long after it had to go.
	if diff := cmp.Diff(want, said(remark(t, s, onPull, builder.Remark{Topic: "e00", Text: "answer", Seq: 2}))); diff != "" {
		t.Errorf("came back (-want +got):\n%s", diff)
	}
}

func TestConcurrentRemarks(t *testing.T) {
	server := storetest.Start(t)
	stores := []*store.Store{server.Store(t, store.Options{}), server.Store(t, store.Options{})}
	var wg sync.WaitGroup
	first := make(chan string, 16)
	for i := range int64(16) {
		wg.Go(func() {
			all, err := stores[i%2].Remark(ctx, onPull, builder.Remark{Topic: fmt.Sprint("e", i), Text: "x", Seq: i},
				builder.Remark{Topic: builder.TopicFork, Text: fmt.Sprint(i), Seq: i})
			if err != nil {
				t.Error(err)
			}
			if !all.Shown {
				first <- all.Remarks[0].Topic
			}
		})
	}
	wg.Wait()
	all := remark(t, stores[0], onPull)
	if len(all.Remarks) != 17 || all.Remarks[16].Text != "15" {
		t.Errorf("remarks %q", said(all))
	}
	if len(first) != 1 {
		t.Errorf("%d callers were the first", len(first))
	}
}

func TestThreadIsForgotten(t *testing.T) {
	s := storetest.New(t, store.Options{Builds: 100 * time.Hour})
	remark(t, s, onPull, builder.Remark{Topic: "fork", Text: "x", Seq: 1})
	if d := s.TTL(t, "{rb}:thread:git:acme/a:5"); d < 99*time.Hour || d > 100*time.Hour {
		t.Errorf("stays for %s", d)
	}
}

func decided(t testing.TB, s *store.Store, e builder.Event, d builder.Decision) {
	t.Helper()
	accept(t, s, e)
	l := nextEvent(t, s)
	if l.Event.ID != e.ID {
		t.Fatalf("event %s came before %s", l.Event.ID, e.ID)
	}
	if err := s.Decide(ctx, l, d); err != nil {
		t.Fatal(err)
	}
}

func TestLatest(t *testing.T) {
	const main, pr = "refs/heads/main", "refs/pull/5/head"
	at := func(ref, commit string, generation int64) *builder.Position {
		return &builder.Position{Repository: "git:acme/a", Ref: ref, Commit: commit, Generation: generation}
	}
	change := func(id string) builder.Event {
		return builder.Event{ID: id, Kind: builder.PullChanged, Repository: repository("a"), Ref: pr, Commit: "c", Pull: &builder.Pull{Number: 5, Head: "c"}}
	}
	of := func(id string, kind builder.EventKind, ref string) builder.Event {
		return builder.Event{ID: id, Kind: kind, Repository: repository("a"), Ref: ref, Commit: "c"}
	}
	byHand := of("hand", builder.BranchPushed, main)
	byHand.Request = &builder.Request{}
	command := of("command", builder.Commanded, pr)
	command.Command = &builder.Command{Name: builder.CommandWhy, Pull: 5}
	tests := map[string]struct {
		event    builder.Event
		decision builder.Decision
		ref      string
		want     string // event; "" is ErrNotFound
	}{
		"a push":            {of("e2", builder.BranchPushed, main), builder.Decision{Head: at(main, "c", 2)}, main, "e2"},
		"a tag":             {of("e2", builder.TagPushed, "refs/tags/v1"), builder.Decision{}, "refs/tags/v1", "e2"},
		"a failed one":      {of("e2", builder.BranchPushed, main), builder.Decision{Failure: &builder.Failure{Message: "x"}}, main, "e2"},
		"an overtaken one":  {of("e2", builder.BranchPushed, main), builder.Decision{Reasons: []builder.Reason{{Message: "overtaken"}}}, main, "e1"},
		"another ref":       {of("e2", builder.BranchPushed, "refs/heads/x"), builder.Decision{}, main, "e1"},
		"by hand":           {byHand, builder.Decision{Failure: &builder.Failure{Message: "x"}}, main, "e1"},
		"a request":         {of("r", builder.Requested, main), builder.Decision{}, main, "e1"},
		"a command":         {command, builder.Decision{}, pr, "p1"},
		"a changed pull":    {change("p2"), builder.Decision{}, pr, "p2"},
		"a closed pull":     {of("p2", builder.PullClosed, pr), builder.Decision{StopRef: pr}, pr, "p1"},
		"a deleted branch":  {of("e2", builder.BranchDeleted, main), builder.Decision{CancelRef: main, Head: at(main, "", 1)}, main, ""},
		"an overtaken end":  {of("e2", builder.BranchDeleted, main), builder.Decision{}, main, "e1"},
		"a deleted tag":     {of("e2", builder.TagDeleted, "refs/tags/v0"), builder.Decision{Head: at("refs/tags/v0", "", 1)}, "refs/tags/v0", ""},
		"nothing ever":      {of("e2", builder.BranchPushed, main), builder.Decision{}, "refs/heads/none", ""},
		"of another's main": {pushed("e2", "b", main, "c"), builder.Decision{}, main, "e1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := storetest.New(t, store.Options{})
			decided(t, s, pushed("e1", "a", main, "c1"), builder.Decision{Head: at(main, "c1", 1), Hint: "of e1"})
			decided(t, s, pushed("t0", "a", "refs/tags/v0", "c1"), builder.Decision{Head: at("refs/tags/v0", "c1", 1)})
			decided(t, s, change("p1"), builder.Decision{})
			decided(t, s, tt.event, tt.decision)
			d, err := s.Latest(ctx, "git:acme/a", tt.ref)
			if tt.want == "" {
				if !errors.Is(err, builder.ErrNotFound) {
					t.Errorf("%q, %v; want ErrNotFound", d.EventID, err)
				}
				return
			}
			if err != nil || d.EventID != tt.want {
				t.Errorf("%q, %v; want %q", d.EventID, err, tt.want)
			}
		})
	}
}

// Commands ask for what a ref came to long after the delivery is forgotten.
func TestLatestStaysAsLongAsBuilds(t *testing.T) {
	s := storetest.New(t, store.Options{Events: time.Hour, Builds: 100 * time.Hour})
	stays := func(key string, want time.Duration) {
		t.Helper()
		if d := s.TTL(t, key); d > want || d < want-time.Minute {
			t.Errorf("%s stays for %s, want %s", key, d, want)
		}
	}
	decided(t, s, pushed("e1", "a", "refs/heads/main", "c1"), builder.Decision{})
	stays("{rb}:event:e1", 100*time.Hour)
	stays("{rb}:latest:git:acme/a:refs/heads/main", 100*time.Hour)
	decided(t, s, pushed("e2", "a", "refs/heads/main", "c2"), builder.Decision{})
	stays("{rb}:event:e1", time.Hour)
	stays("{rb}:event:e2", 100*time.Hour)
	gone := builder.Event{ID: "e3", Kind: builder.BranchDeleted, Repository: repository("a"), Ref: "refs/heads/main"}
	decided(t, s, gone, builder.Decision{CancelRef: gone.Ref})
	stays("{rb}:event:e2", time.Hour)
	stays("{rb}:event:e3", time.Hour)
}
