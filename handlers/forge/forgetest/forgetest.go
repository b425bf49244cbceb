// Package forgetest holds the contract that every forge adapter keeps, as
// tests (Run), and a forge small enough to be read at a glance (Double), with
// which the intake is tested.
package forgetest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// Subject is a forge adapter under test. Abilities that it does not have are
// nil and are not tested.
type Subject struct {
	Instance string // Repository.Forge of its events
	Reporter builder.Reporter

	Verifier   forge.Verifier
	Deliveries []Delivery // genuine ones: at least one of an event, one ignored

	Origin     forge.Origin
	Repository builder.Repository // one that Origin has

	// Life pushes a new branch, moves it, puts a tag, deletes the tag and
	// deletes the branch, and returns the events of it in this order.
	Life func(t *testing.T) []builder.Event
}

// Delivery is a webhook as the forge sends it.
type Delivery struct {
	Name   string
	Header http.Header
	Body   []byte
	Want   []builder.Event // none: the delivery is ignored
}

// Run tests the contract.
func Run(t *testing.T, s Subject) {
	if s.Reporter != nil {
		t.Run("reports", func(t *testing.T) { reports(t, s) })
	}
	if s.Verifier != nil {
		for _, d := range s.Deliveries {
			t.Run("delivery "+d.Name, func(t *testing.T) { delivery(t, s, d) })
		}
		t.Run("broken deliveries", func(t *testing.T) { broken(t, s) })
	}
	if s.Origin != nil {
		t.Run("origin", func(t *testing.T) { origin(t, s) })
	}
	if s.Life != nil {
		t.Run("life of a branch and a tag", func(t *testing.T) { life(t, s) })
	}
}

// reports: telling the same thing twice is harmless, and ctx is obeyed.
func reports(t *testing.T, s Subject) {
	r := builder.Report{
		Repository: s.Repository, Ref: "refs/heads/main", Commit: strings.Repeat("a", 40),
		Context: "registry-build/api", EventID: s.Instance + ":d:refs/heads/main", Seq: 1, UpdatedAt: time.Unix(1, 0),
	}
	for _, state := range []builder.ReportState{
		builder.StatusPending, builder.StatusSuccess, builder.StatusSuccess, builder.StatusFailure, builder.StatusError,
	} {
		r.State, r.Description = state, string(state)
		if err := s.Reporter.Report(t.Context(), r); err != nil {
			t.Errorf("report %s: %v", state, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Reporter.Report(ended, r); !errors.Is(err, context.Canceled) {
		t.Errorf("report after ctx has ended: %v, want context.Canceled", err)
	}
}

func delivery(t *testing.T, s Subject, d Delivery) {
	if err := s.Verifier.Verify(d.Header, d.Body); err != nil {
		t.Fatalf("a genuine delivery: %v", err)
	}
	forged := map[string][]byte{
		"a byte more": append(slices.Clone(d.Body), ' '),
		"nothing":     nil,
	}
	for _, at := range []int{0, len(d.Body) / 2, len(d.Body) - 1} {
		body := slices.Clone(d.Body)
		body[at] ^= 1
		forged[fmt.Sprintf("byte %d turned", at)] = body
	}
	for name, body := range forged {
		if err := s.Verifier.Verify(d.Header, body); !errors.Is(err, forge.ErrSignature) {
			t.Errorf("%s: %v, want ErrSignature", name, err)
		}
	}
	if err := s.Verifier.Verify(http.Header{}, d.Body); !errors.Is(err, forge.ErrSignature) {
		t.Errorf("not signed: %v, want ErrSignature", err)
	}

	events, err := s.Verifier.Events(d.Header, d.Body)
	if len(d.Want) == 0 {
		if !errors.Is(err, forge.ErrIgnored) || len(events) != 0 {
			t.Errorf("events %v, %v, want ErrIgnored", events, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.Want, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, e := range events {
		if err := CheckEvent(s.Instance, e); err != nil {
			t.Error(err)
		}
	}
	if again, err := s.Verifier.Events(d.Header, d.Body); err != nil || !cmp.Equal(events, again) {
		t.Errorf("the same delivery again: %v, %v", again, err)
	}
}

// broken: a verified body that is no payload is told apart from our errors.
func broken(t *testing.T, s Subject) {
	for _, d := range s.Deliveries {
		for _, body := range []string{"", "null", "[]", "{", `{"ref":1}`, "\x00\xff", strings.Repeat("[", 100_000)} {
			events, err := s.Verifier.Events(d.Header, []byte(body))
			if !errors.Is(err, forge.ErrPayload) && !errors.Is(err, forge.ErrIgnored) || len(events) != 0 {
				t.Errorf("%s with body %.20q: %v, %v, want ErrPayload or ErrIgnored", d.Name, body, events, err)
			}
		}
	}
}

func origin(t *testing.T, s Subject) {
	at, err := s.Origin.Origin(t.Context(), s.Repository)
	if err != nil || filepath.IsAbs(at.Dir) == (at.URL != "") {
		t.Errorf("origin of %s: %q, %v, want a folder or an address", s.Repository.Key(), at.Dir+at.URL, err)
	}
	for _, id := range []string{"", "none/none", "..", "../..", "a/../b", "/etc", "--upload-pack=x/y", "a/b\x00"} {
		repo := s.Repository
		repo.ID = id
		if at, err := s.Origin.Origin(t.Context(), repo); !errors.Is(err, builder.ErrNotFound) || at != (builder.Origin{}) {
			t.Errorf("origin of %q: %q, %v, want ErrNotFound", id, at.Dir+at.URL, err)
		}
	}
}

func life(t *testing.T, s Subject) {
	events := s.Life(t)
	want := []builder.EventKind{
		builder.BranchPushed, builder.BranchPushed, builder.TagPushed, builder.TagDeleted, builder.BranchDeleted,
	}
	var got []builder.EventKind
	ids := make(map[string]bool)
	heads := make(map[string]string)
	for _, e := range events {
		got = append(got, e.Kind)
		if err := CheckEvent(s.Instance, e); err != nil {
			t.Error(err)
		}
		if ids[e.ID] {
			t.Errorf("%s: the ID of two events", e.ID)
		}
		ids[e.ID] = true
		if e.Before != heads[e.Ref] {
			t.Errorf("%s: before %q, the event before it said %q", e.ID, e.Before, heads[e.Ref])
		}
		heads[e.Ref] = e.Commit
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

// CheckEvent says what is wrong with an event as a forge hands it on.
func CheckEvent(instance string, e builder.Event) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("event %q: "+format, append([]any{e.ID}, args...)...)
	}
	if !strings.HasPrefix(e.ID, instance+":") || e.Ref != "" && !strings.HasSuffix(e.ID, ":"+e.Ref) {
		return bad("the ID is <forge instance>:<delivery>[:<ref>]")
	}
	r := e.Repository
	if r.Forge != instance || r.ID == "" || r.Owner == "" || r.Name == "" {
		return bad("the repository %+v has no forge, ID, owner or name", r)
	}
	if e.Seq != 0 || !e.AcceptedAt.IsZero() {
		return bad("the store numbers events, not the forge")
	}
	for _, commit := range []string{e.Before, e.Commit} {
		if commit != "" && (len(commit) < 40 || strings.Trim(commit, "0123456789abcdef") != "" || strings.Trim(commit, "0") == "") {
			return bad("%q is no commit", commit)
		}
	}
	prefix, there := "", true
	switch e.Kind {
	case builder.BranchPushed:
		prefix = "refs/heads/"
	case builder.TagPushed:
		prefix = "refs/tags/"
	case builder.BranchDeleted:
		prefix, there = "refs/heads/", false
	case builder.TagDeleted:
		prefix, there = "refs/tags/", false
	default:
		return nil
	}
	if !strings.HasPrefix(e.Ref, prefix) || there != (e.Commit != "") {
		return bad("%s of %q with commit %q", e.Kind, e.Ref, e.Commit)
	}
	return nil
}
