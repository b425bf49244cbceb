package handlers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers"
)

// sse is one server-sent event.
type sse struct{ Event, ID, Data string }

// readSSE reads a stream until its end, or until an event of that name.
func readSSE(t *testing.T, body io.Reader, until string) (events []sse) {
	t.Helper()
	lines := bufio.NewReader(body)
	var e sse
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return events
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "event":
			e.Event = value
		case "id":
			e.ID = value
		case "data":
			e.Data = value
		case "":
			if e.Event == "" { // retry, or a comment
				continue
			}
			events = append(events, e)
			if e.Event == until {
				return events
			}
			e = sse{}
		}
	}
}

func textOf(t *testing.T, events []sse) string {
	t.Helper()
	var b strings.Builder
	for _, e := range events {
		if e.Event != "log" {
			continue
		}
		var data handlers.LogEvent
		if err := json.Unmarshal([]byte(e.Data), &data); err != nil {
			t.Fatalf("%q: %v", e.Data, err)
		}
		b.WriteString(data.Text)
	}
	return b.String()
}

const logPath = "/api/v1/builds/" + helloBuild + "/log"

// chunks cuts a text into pieces of n bytes, wherever that falls.
func chunks(text string, n int) (all []builder.LogChunk) {
	for i := 0; len(text) > 0; i++ {
		end := min(n, len(text))
		all = append(all, builder.LogChunk{ID: fmt.Sprint(100 + i), Data: []byte(text[:end])})
		text = text[end:]
	}
	return all
}

// TestResume: whatever event a reader saw last, he misses nothing and gets
// nothing twice, also where the cut went through a character.
func TestResume(t *testing.T) {
	text := "#1 ок → 世界 🚀\n\u2028<b>\"\n"
	for size := 1; size <= 5; size++ {
		f := newFake()
		f.log, f.logErr = chunks(text, size), io.EOF
		f.builds[helloBuild] = ended(f.builds[helloBuild])
		a := start(t, f.server(t.Output()).Routes())
		all := readSSE(t, a.send("GET", logPath, "", "Accept", "text/event-stream").Body, "")
		if got := textOf(t, all); got != text {
			t.Fatalf("chunks of %d: %q", size, got)
		}
		last := all[len(all)-1]
		if diff := cmp.Diff(sse{Event: "end", Data: `{"state":"succeeded","status":"pushed latest"}`}, last); diff != "" {
			t.Errorf("end (-want +got):\n%s", diff)
		}
		for i, e := range all[:len(all)-1] {
			rest := readSSE(t, a.send("GET", logPath, "", "Accept", "text/event-stream", "Last-Event-ID", e.ID).Body, "")
			if got := textOf(t, all[:i+1]) + textOf(t, rest); got != text {
				t.Fatalf("chunks of %d, resumed after %s: %q", size, e.ID, got)
			}
		}
	}
}

func ended(r builder.Record) builder.Record {
	r.State = builder.Succeeded
	return r
}

// TestNoText: bytes that are no character are shown as such, and cost nothing
// of what is around them.
func TestNoText(t *testing.T) {
	f := newFake()
	f.log, f.logErr = chunks("a\xffb\xe4\xb8c\xf0\x9f", 2), io.EOF
	a := start(t, f.server(t.Output()).Routes())
	all := readSSE(t, a.send("GET", logPath, "", "Accept", "text/event-stream").Body, "")
	if got := textOf(t, all); strings.ReplaceAll(got, "\ufffd", "") != "abc" || !strings.HasSuffix(got, "c\ufffd\ufffd") {
		t.Errorf("%q", got)
	}
}

func TestLastEventID(t *testing.T) {
	a := start(t, newFake().server(t.Output()).Routes())
	for _, id := range []string{"x", "1.", "1.e", "1.e28282e2", "1.GG", "-1", "9999999999999999999", "1-2-3", "../1"} {
		if got := a.refused("GET", logPath, "", 400, "Accept", "text/event-stream", "Last-Event-ID", id); !strings.Contains(got, "Last-Event-ID") {
			t.Errorf("%q: %q", id, got)
		}
	}
}

// TestReaderGone: nobody reads the log any more, so nobody reads it for him.
func TestReaderGone(t *testing.T) {
	f := newFake()
	f.log = chunks("first\n", 100)
	a := start(t, f.server(t.Output()).Routes())
	resp := a.send("GET", logPath, "", "Accept", "text/event-stream")
	if got := textOf(t, readSSE(t, resp.Body, "log")); got != "first\n" {
		t.Errorf("%q", got)
	}
	resp.Body.Close()
	select {
	case <-f.logGone:
	case <-time.After(20 * time.Second):
		t.Fatal("the log is still being read")
	}
}

// TestLogBreaks: half a log is never taken for a whole one.
func TestLogBreaks(t *testing.T) {
	f := newFake()
	f.log, f.logErr = chunks("first\n", 100), builder.ErrUnavailable
	a := start(t, f.server(io.Discard).Routes())
	for _, accept := range []string{"text/event-stream", "text/plain"} {
		resp := a.send("GET", logPath+"?follow", "", "Accept", accept)
		if _, err := io.ReadAll(resp.Body); err == nil || resp.StatusCode != 200 {
			t.Errorf("%s: %d, the body ends like a whole one", accept, resp.StatusCode)
		}
	}
	f.log = nil // before the first byte it can still be told
	if got := a.refused("GET", logPath, "", 503); !strings.Contains(got, "not available") {
		t.Errorf("%q", got)
	}
}

func TestTextLog(t *testing.T) {
	f := newFake()
	f.log = chunks("ab\xff\ncd\n", 3)
	a := start(t, f.server(t.Output()).Routes())
	resp := a.send("GET", logPath, "")
	got, err := io.ReadAll(resp.Body)
	if err != nil || string(got) != "ab\xff\ncd\n" {
		t.Errorf("%q, %v", got, err)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "text/plain; charset=utf-8" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("content type %q", ct)
	}
	// Followed, the first lines come before the build has ended.
	body := bufio.NewReader(a.send("GET", logPath+"?follow", "").Body)
	if line, err := body.ReadString('\n'); err != nil || line != "ab\xff\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// TestQuietLog: a build that says nothing for long keeps its readers. Who asks
// for the headers alone is not kept at all.
func TestQuietLog(t *testing.T) {
	for method, want := range map[string]struct {
		body string
		took time.Duration
	}{
		http.MethodGet:  {"retry: 1000\n\n: still there\n\n: still there\n\n", 40 * time.Second},
		http.MethodHead: {"", 0},
	} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
				defer cancel()
				r := httptest.NewRequestWithContext(ctx, method, logPath, nil)
				r.Header.Set("Authorization", "Bearer ada")
				r.Header.Set("Accept", "text/event-stream")
				w := httptest.NewRecorder()
				began := time.Now()
				newFake().server(io.Discard).Routes().ServeHTTP(w, r)
				if got, took := w.Body.String(), time.Since(began); got != want.body || took != want.took {
					t.Errorf("%q after %s, want %q after %s", got, took, want.body, want.took)
				}
				if got := w.Header().Get("Content-Type"); got != "text/event-stream" {
					t.Errorf("content type %q", got)
				}
			})
		})
	}
}
