package builder

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var accepted = time.Date(2026, 11, 21, 18, 15, 7, 123_000_000, time.UTC)

func TestBuildIDSeparates(t *testing.T) {
	e := Event{ID: "git:1:refs/heads/main", AcceptedAt: accepted}
	other, later := e, e
	other.ID = "git:2:refs/heads/main"
	later.AcceptedAt = accepted.Add(time.Millisecond)

	ids := map[string]string{}
	for name, id := range map[string]string{
		"plain":            BuildID(e, "api", "branch: main"),
		"another image":    BuildID(e, "web", "branch: main"),
		"another rule":     BuildID(e, "api", "branch: *"),
		"another event":    BuildID(other, "api", "branch: main"),
		"another instant":  BuildID(later, "api", "branch: main"),
		"moved boundaries": BuildID(e, "apib", "ranch: main"),
	} {
		if !ValidBuildID(id) {
			t.Errorf("%s: %q is not valid", name, id)
		}
		if was, ok := ids[id]; ok {
			t.Errorf("%s has the id of %s", name, was)
		}
		ids[id] = name
	}
	again := e
	again.Seq, again.Actor = 9, "somebody"
	if got := BuildID(again, "api", "branch: main"); ids[got] != "plain" {
		t.Errorf("dispatching again made another id: %s", got)
	}
}

func TestBuildIDSortsByTime(t *testing.T) {
	var ids []string
	for _, ms := range []int64{0, 1, 31, 32, 1 << 20, 1 << 40, 1<<48 - 1} {
		ids = append(ids, BuildID(Event{ID: "e", AcceptedAt: time.UnixMilli(ms)}, "i", ""))
	}
	if !slices.IsSorted(ids) {
		t.Errorf("not in order of time: %q", ids)
	}
}

func TestBuildTime(t *testing.T) {
	if got := BuildIDTime(BuildID(Event{AcceptedAt: accepted}, "", "")); !got.Equal(accepted) {
		t.Errorf("got %v, want %v", got, accepted)
	}
	if got := BuildIDTime(BuildID(Event{}, "", "")); got.UnixMilli() != 0 {
		t.Errorf("an event that was never accepted: %v", got)
	}
	if got := BuildIDTime("nonsense"); !got.IsZero() {
		t.Errorf("no id: %v", got)
	}
}

func TestParseBuildID(t *testing.T) {
	id := "06db3m8e7g0k5rqa"
	for _, tt := range []struct {
		name, in, want, err string
	}{
		{name: "canonical", in: id, want: id},
		{name: "capitals", in: strings.ToUpper(id), want: id},
		{name: "misread digits", in: "o6db3m8e7gok5rqa", want: id},
		{name: "one and its doubles", in: "1iLI000000000000", want: "1111000000000000"},
		{name: "empty", err: "no build id"},
		{name: "short", in: id[1:], err: "no build id"},
		{name: "long", in: id + "0", err: "no build id"},
		{name: "u is not in the alphabet", in: "u" + id[1:], err: "no build id"},
		{name: "path", in: "../../../etc/pas", err: "no build id"},
		{name: "line end", in: id[:15] + "\n", err: "no build id"},
		{name: "very long is clipped", in: strings.Repeat("x", 1000), err: `xxx…" is`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseBuildID(tt.in)
			if got != tt.want || (err == nil) != (tt.err == "") {
				t.Fatalf("got %q, %v", got, err)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.err) || len(err.Error()) > 200) {
				t.Errorf("error %q", err)
			}
		})
	}
}
