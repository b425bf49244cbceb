package forgetest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
)

var (
	one = strings.Repeat("1", 40)
	two = strings.Repeat("2", 40)
)

func TestDouble(t *testing.T) {
	d := forgetest.Double{Secret: "It's a Secret to Everybody"}
	s := forgetest.Subject{Instance: forgetest.DoubleInstance, Verifier: d}
	repo := builder.Repository{Forge: "double", ID: "acme/hello", Owner: "acme", Name: "hello"}
	for _, tt := range []struct {
		name string
		push forgetest.DoublePush
		want builder.EventKind
	}{
		{"new branch", forgetest.DoublePush{Ref: "refs/heads/main", Commit: one}, builder.BranchPushed},
		{"branch", forgetest.DoublePush{Ref: "refs/heads/main", Before: one, Commit: two}, builder.BranchPushed},
		{"branch deleted", forgetest.DoublePush{Ref: "refs/heads/main", Before: one}, builder.BranchDeleted},
		{"tag", forgetest.DoublePush{Ref: "refs/tags/v1", Commit: one}, builder.TagPushed},
		{"tag deleted", forgetest.DoublePush{Ref: "refs/tags/v1", Before: one}, builder.TagDeleted},
		{"notes", forgetest.DoublePush{Ref: "refs/notes/x", Commit: one}, ""},
	} {
		tt.push.Delivery, tt.push.Repository, tt.push.Actor = "d1", "acme/hello", "ann"
		header, body := d.Push(tt.push)
		delivery := forgetest.Delivery{Name: tt.name, Header: header, Body: body}
		if tt.want != "" {
			delivery.Want = []builder.Event{{
				ID: "double:d1:" + tt.push.Ref, Kind: tt.want, Repository: repo,
				Ref: tt.push.Ref, Before: tt.push.Before, Commit: tt.push.Commit, Actor: "ann",
			}}
		}
		s.Deliveries = append(s.Deliveries, delivery)
	}
	s.Deliveries = append(s.Deliveries, forgetest.Delivery{Name: "ping", Header: d.Sign("ping", []byte("{}")), Body: []byte("{}")})
	forgetest.Run(t, s)
}

// TestSignature holds the Double to a vector that GitHub publishes.
func TestSignature(t *testing.T) {
	d := forgetest.Double{Secret: "It's a Secret to Everybody"}
	got := d.Sign("push", []byte("Hello, World!")).Get("X-Double-Signature")
	if want := "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func FuzzEvents(f *testing.F) {
	d := forgetest.Double{Secret: "s"}
	for _, p := range []forgetest.DoublePush{
		{Delivery: "1", Repository: "a/b", Ref: "refs/heads/main", Commit: one},
		{Delivery: "1", Repository: "a/b", Ref: "refs/tags/v1", Before: one},
		{Delivery: "1", Repository: "../b", Ref: "refs/tags/v1", Before: one},
	} {
		_, body := d.Push(p)
		f.Add("push", body)
	}
	f.Add("ping", []byte("{}"))
	f.Add("push", []byte(`{"ref":null}`))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		header := d.Sign(kind, body)
		if err := d.Verify(header, body); err != nil {
			t.Fatalf("what we signed: %v", err)
		}
		events, err := d.Events(header, body)
		if err != nil && !errors.Is(err, forge.ErrPayload) && !errors.Is(err, forge.ErrIgnored) {
			t.Errorf("events: %v", err)
		}
		for _, e := range events {
			if err := forgetest.CheckEvent(forgetest.DoubleInstance, e); err != nil {
				t.Error(err)
			}
		}
	})
}
