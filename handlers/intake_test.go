package handlers_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
)

// people is a forge whose deliveries are comments: the body is the text.
type people struct{ forgetest.Double }

func (people) Verify(http.Header, []byte) error { return nil }

func (people) EventType(h http.Header) string {
	if event := h.Get("X-Double-Event"); slices.Contains([]string{"comment", "broken"}, event) {
		return event
	}
	return "other"
}

func (people) Events(h http.Header, body []byte) ([]builder.Event, error) {
	switch h.Get("X-Double-Event") {
	case "comment":
		return []builder.Event{{ID: "double:c1", Kind: builder.Commanded, Repository: hello, Actor: "ann",
			Command: &builder.Command{Source: builder.FromComment, Pull: 12, Comment: "99", Body: string(body)}}}, nil
	case "button":
		return []builder.Event{{ID: "double:b1", Kind: builder.Commanded, Repository: hello, Actor: "ann",
			Command: &builder.Command{Source: builder.FromButton, Name: builder.CommandCancel, BuildID: helloBuild}}}, nil
	case "ping":
		return nil, fmt.Errorf("ping: %w", forge.ErrIgnored)
	case "forged":
		return nil, forge.ErrSignature
	}
	return nil, errors.New("no idea")
}

func peopleServer(t *testing.T, f *fake) *handlers.Server {
	s := f.server(t.Output())
	s.Forges["double"] = people{}
	return s
}

func TestIntakeCommands(t *testing.T) {
	from := func(c builder.Command) *builder.Command {
		c.Source, c.Pull, c.Comment = builder.FromComment, 12, "99"
		return &c
	}
	for _, tt := range []struct {
		name, event, body string
		want              *builder.Command // nil: nothing is accepted
	}{
		{"understood", "comment", "> why?\r\n\r\n/rebuild api no-cache\r\nthe network was down", from(builder.Command{Name: builder.CommandRebuild, Image: "api", NoCache: true, Text: "/rebuild api no-cache"})},
		{"not understood: that is answered", "comment", "/promote", from(builder.Command{Name: builder.CommandPromote, Text: "/promote"})},
		{"another bot's", "comment", "/lgtm", nil},
		{"in code", "comment", "```\n/rebuild\n```", nil},
		{"a button", "button", "{}", &builder.Command{Source: builder.FromButton, Name: builder.CommandCancel, BuildID: helloBuild}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			a := start(t, peopleServer(t, f).Routes())
			var got handlers.Accepted
			deliver(a, http.Header{"X-Double-Event": {tt.event}}, []byte(tt.body), 202, &got)
			if tt.want == nil {
				if diff := cmp.Diff(handlers.Accepted{Ignored: "the comment's first line is no command of ours"}, got); diff != "" || len(f.appended()) != 0 {
					t.Errorf("%d events, answer (-want +got):\n%s", len(f.appended()), diff)
				}
				return
			}
			events := f.appended()
			if len(events) != 1 || !slices.Equal(got.Events, []string{events[0].ID}) {
				t.Fatalf("events %+v, answer %+v", events, got)
			}
			command := *events[0].Command
			if command.Body != "" || (command.Invalid != "") != strings.HasPrefix(tt.name, "not understood") {
				t.Errorf("body %q, invalid %q", command.Body, command.Invalid)
			}
			command.Invalid = ""
			if diff := cmp.Diff(*tt.want, command); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	f := newFake()
	s := peopleServer(t, f)
	s.Metrics = prometheus.NewRegistry()
	a := start(t, s.Routes())
	start(t, s.Routes()) // a second one shares the registry
	for _, d := range []struct {
		event, body string
		status      int
	}{
		{"comment", "/build", 202}, {"comment", "/build", 202}, {"comment", "hello", 202}, {"button", "{}", 202},
		{"ping", "{}", 202}, {"forged", "{}", 401}, {"broken", "{}", 500}, {"acme/secret", "{}", 500},
	} {
		deliver(a, http.Header{"X-Double-Event": {d.event}}, []byte(d.body), d.status, nil)
	}
	a.as("").refused("POST", "/hooks/acme", "{}", 404)

	resp := a.send("GET", "/metrics", "")
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{event="broken",forge="double",outcome="failed"} 1`,
		`{event="comment",forge="double",outcome="accepted"} 1`,
		`{event="comment",forge="double",outcome="duplicate"} 1`,
		`{event="comment",forge="double",outcome="ignored"} 1`,
		`{event="other",forge="double",outcome="accepted"} 1`,
		`{event="other",forge="double",outcome="failed"} 1`,
		`{event="other",forge="double",outcome="ignored"} 1`,
		`{event="other",forge="double",outcome="refused"} 1`,
		`{event="other",forge="other",outcome="refused"} 1`,
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^registry_build_deliveries_total(.*)$`).FindAllStringSubmatch(string(text), -1) {
		got = append(got, m[1])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
	for _, line := range []string{
		`registry_build_delivery_duration_seconds_count{forge="double"} 8`,
		`registry_build_delivery_duration_seconds_count{forge="other"} 1`,
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	if strings.Contains(string(text), "acme") {
		t.Errorf("a name that a caller made up is a label:\n%s", text)
	}
	a.as("").refused("GET", "/metrics", "", 401)
	a.as("puller").refused("GET", "/metrics", "", 403)

	s.Metrics = nil
	if got := start(t, s.Routes()).refused("GET", "/metrics", "", 404); got != "metrics are not kept here" {
		t.Errorf("%q", got)
	}
}

// TestIntakeMemory: large bodies wait for each other, and not for ever; small
// ones wait for nobody.
func TestIntakeMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := peopleServer(t, newFake()).Routes()
		answered := make(chan int, 10)
		send := func(length int64, body io.Reader) {
			r := httptest.NewRequest("POST", "/hooks/double", body)
			r.ContentLength = length
			r.Header.Set("X-Double-Event", "ping")
			go func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code == 503 && w.Header().Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
				answered <- w.Code
			}()
			synctest.Wait()
		}
		slow, finish := io.Pipe()
		send(forge.MaxBody, slow)
		unknown, finishUnknown := io.Pipe()
		send(-1, unknown) // takes as much as the largest
		rest, finishRest := io.Pipe()
		send(14<<20, rest)
		if n := len(answered); n != 0 {
			t.Fatalf("%d answers before the bodies came", n)
		}

		send(64<<10, strings.NewReader(strings.Repeat(" ", 64<<10)))
		if got := <-answered; got != 202 {
			t.Errorf("a small delivery beside large ones: %d", got)
		}
		began := time.Now()
		send(64<<10+1, slow)
		if got, took := <-answered, time.Since(began); got != 503 || took != 5*time.Second {
			t.Errorf("one too many: %d after %v, want 503 after 5 s", got, took)
		}

		send(20<<20, strings.NewReader(strings.Repeat(" ", 20<<20)))
		if len(answered) != 0 {
			t.Fatal("it did not wait")
		}
		finish.Close()
		got := []int{<-answered, <-answered}
		if diff := cmp.Diff([]int{202, 202}, got); diff != "" {
			t.Errorf("after the first has ended (-want +got):\n%s", diff)
		}
		finishRest.Close()
		<-answered
		finishUnknown.Close()
		<-answered
	})
}

// TestLimitsInReference: README.md tells the limits that hold.
func TestLimitsInReference(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, sentence := range handlers.Limits() {
		if !strings.Contains(string(text), sentence) {
			t.Errorf("README.md does not say %q", sentence)
		}
	}
}
