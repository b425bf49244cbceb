package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// answers is a server that gives each request the next answer, and the last
// one from then on.
func answers(t *testing.T, list ...http.HandlerFunc) *client {
	next := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := list[min(next, len(list)-1)]
		next++
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return &client{server: s.URL, http: s.Client(), pause: time.Millisecond}
}

func event(id, text string) string {
	return fmt.Sprintf("event: log\nid: %s\ndata: {\"text\":%q}\n\n", id, text)
}

func TestLogGoesOnAfterARestart(t *testing.T) {
	stopping := func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the server is stopping", http.StatusServiceUnavailable)
	}
	first := func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, event("1", "one\n"))
	}
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	rest := func(w http.ResponseWriter, r *http.Request) {
		if after := r.Header.Get("Last-Event-ID"); after != "1" {
			t.Errorf("resumed after %q; want 1", after)
		}
		fmt.Fprint(w, event("2", "two\n"), "event: end\ndata: {\"state\":\"succeeded\",\"status\":\"pushed\"}\n\n")
	}
	for _, test := range []struct {
		name    string
		answers []http.HandlerFunc
		log     string
		err     string
	}{
		{"cut, stopping, gone, back", []http.HandlerFunc{first, stopping, hangUp, rest}, "one\ntwo\n", ""},
		{"one that was never there is not waited for", []http.HandlerFunc{stopping}, "", "the server is stopping"},
		{"one that does not come back", []http.HandlerFunc{first, stopping}, "one\n", "the log of b1 broke off; the build goes on without it"},
		{"what is refused is refused", []http.HandlerFunc{first, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":"there is no build b1"}`)
		}}, "one\n", "there is no build b1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			end, err := answers(t, test.answers...).log(t.Context(), "b1", &out)
			switch {
			case test.err == "" && (err != nil || end.State != "succeeded"):
				t.Errorf("%+v, %v; want succeeded", end, err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("error %v; want %q in it", err, test.err)
			}
			if out.String() != test.log {
				t.Errorf("log %q; want %q", out.String(), test.log)
			}
		})
	}
}

func TestCommandLinesThatMakeNoSense(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"a command that is misspelt", []string{"buidl"}, `unknown command "buidl"; did you mean "build"?`},
		{"one of a group", []string{"credentials", "lisst"}, `unknown command "lisst"; did you mean "list"?`},
		{"an argument where none is", []string{"up", "here"}, `registry-build up takes no argument, and there is "here"`},
		{"one too many", []string{"logs", "a", "b"}, `registry-build logs needs a build ID, and there is "b" too`},
		{"a flag of another command", []string{"logs", "a", "--push"}, "unknown flag: --push\nRun `registry-build logs --help` for usage."},
		{"a path that the server does not have", []string{"build", "--remote", "."}, "--remote builds what the server has, not ."},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, err strings.Builder
			status := Main(append([]string{"registry-build"}, test.args...), strings.NewReader(""), &out, &err)
			if status != 2 || !strings.Contains(err.String(), test.want) || out.Len() > 0 {
				t.Errorf("status %d, %q on stderr, %q on stdout; want 2, %q", status, err.String(), out.String(), test.want)
			}
		})
	}
}
