package handlers_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
)

// deliver sends a webhook as its forge does: without a token.
func deliver(a *api, header http.Header, body []byte, want int, out any) http.Header {
	a.t.Helper()
	var pairs []string
	for name := range header {
		pairs = append(pairs, name, header.Get(name))
	}
	return a.as("").ask("POST", "/hooks/double", string(body), want, out, pairs...)
}

func TestIntake(t *testing.T) {
	f := newFake()
	a := start(t, f.server(t.Output()).Routes())
	double := forgetest.Double{Secret: secret}
	header, body := double.Push(forgetest.DoublePush{Delivery: "d1", Repository: "acme/hello", Ref: "refs/heads/main", Commit: one, Actor: "ann"})
	event := builder.Event{ID: "double:d1:refs/heads/main", Kind: builder.BranchPushed, Ref: "refs/heads/main", Commit: one, Actor: "ann",
		Repository: builder.Repository{Forge: "double", ID: "acme/hello", Owner: "acme", Name: "hello"}}

	// A forge that heard nothing delivers again; the answer is the same.
	for range 2 {
		var got handlers.Accepted
		deliver(a, header, body, 202, &got)
		if diff := cmp.Diff(handlers.Accepted{Events: []string{event.ID}}, got); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]builder.Event{event}, f.appended()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}

	var ignored handlers.Accepted
	deliver(a, double.Sign("ping", []byte("{}")), []byte("{}"), 202, &ignored)
	if diff := cmp.Diff(handlers.Accepted{Ignored: "ping: not wanted"}, ignored); diff != "" {
		t.Errorf("answer to a ping (-want +got):\n%s", diff)
	}
	var refused handlers.Error
	deliver(a, double.Sign("push", []byte("{")), []byte("{"), 400, &refused)
	if !strings.Contains(refused.Error, "payload cannot be read") {
		t.Errorf("%q", refused.Error)
	}
	if n := len(f.appended()); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

// TestIntakeVerifiesFirst: a body that is not signed is never parsed.
func TestIntakeVerifiesFirst(t *testing.T) {
	f := newFake()
	s := f.server(t.Output())
	double := &watched{Double: forgetest.Double{Secret: secret}}
	s.Forges["double"] = double
	a := start(t, s.Routes())
	forger := forgetest.Double{Secret: "another"}
	header, body := forger.Push(forgetest.DoublePush{Delivery: "d1", Repository: "acme/hello", Ref: "refs/heads/main", Commit: one})
	var refused handlers.Error
	deliver(a, header, body, 401, &refused)
	deliver(a, http.Header{}, body, 401, nil)
	if refused.Error != "signature does not match" || double.parsed || len(f.appended()) != 0 {
		t.Errorf("%q, parsed %t, %d events", refused.Error, double.parsed, len(f.appended()))
	}
}

type watched struct {
	forgetest.Double
	parsed bool
}

func (w *watched) Events(h http.Header, body []byte) ([]builder.Event, error) {
	w.parsed = true
	return w.Double.Events(h, body)
}

func TestIntakeStoreDown(t *testing.T) {
	f := newFake()
	f.down = fmt.Errorf("append: %w", builder.ErrUnavailable)
	a := start(t, f.server(t.Output()).Routes())
	header, body := forgetest.Double{Secret: secret}.Push(forgetest.DoublePush{Delivery: "d1", Repository: "acme/hello", Ref: "refs/heads/main", Commit: one})
	if h := deliver(a, header, body, 503, nil); h.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if len(f.appended()) != 0 {
		t.Error("an event was appended")
	}
	f.down = nil
	deliver(a, header, body, 202, nil)
	if n := len(f.appended()); n != 1 {
		t.Errorf("%d events after the store is back, want 1", n)
	}
}

// TestIntakeCap: 25 MiB pass, a byte more does not, whether its length is
// told in advance or not.
func TestIntakeCap(t *testing.T) {
	f := newFake()
	a := start(t, f.server(t.Output()).Routes())
	double := forgetest.Double{Secret: secret}
	body := bytes.Repeat([]byte(" "), forge.MaxBody+1)
	var got handlers.Accepted
	deliver(a, double.Sign("ping", body[1:]), body[1:], 202, &got)
	if got.Ignored == "" {
		t.Errorf("25 MiB: %+v", got)
	}

	req, err := http.NewRequest("POST", a.url+"/hooks/double", io.MultiReader(bytes.NewReader(body))) // no length
	if err != nil {
		t.Fatal(err)
	}
	req.Header = double.Sign("ping", body)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("25 MiB and a byte: %d, want 413", resp.StatusCode)
	}

	// A length that is too large is refused before anything is read.
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "POST /hooks/double HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(body))
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 413" {
		t.Errorf("%q, %v", answer, err)
	}
}

// picky is a forge whose proof is good for one repository only, as it finds
// out when it is asked.
type picky struct{ forgetest.Double }

func (p picky) Admit(_ context.Context, header http.Header, events []builder.Event) error {
	for _, e := range events {
		switch e.Repository.Owner {
		case "evil":
			return fmt.Errorf("not yours to tell: %w", forge.ErrSignature)
		case "away":
			return fmt.Errorf("nobody answers: %w", builder.ErrUnavailable)
		}
	}
	return nil
}

func TestIntakeAsksWhoseEventsTheyAre(t *testing.T) {
	f := newFake()
	server := f.server(t.Output())
	double := forgetest.Double{Secret: secret}
	server.Forges["double"] = picky{double}
	a := start(t, server.Routes())
	for owner, want := range map[string]int{"acme": 202, "evil": 401, "away": 503} {
		header, body := double.Push(forgetest.DoublePush{Delivery: owner, Repository: owner + "/hello", Ref: "refs/heads/main", Commit: one})
		deliver(a, header, body, want, nil)
	}
	if got := f.appended(); len(got) != 1 || got[0].Repository.Owner != "acme" {
		t.Errorf("events %+v, want acme's alone", got)
	}
}
