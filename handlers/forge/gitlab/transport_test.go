package gitlab

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatIsRepeated(t *testing.T) {
	lost := errors.New("connection reset by peer")
	const (
		taken = `{"message":["Another open merge request already exists for this source branch: !1"]}`
		lock  = `{"message":"409 Conflict: Resource lock"}`
	)
	for _, test := range []struct {
		name   string
		method string
		ctx    func(context.Context) context.Context
		fails  int // so many times
		with   int // status; 0: no answer
		body   string
		sent   int64
		status int // in the end; 0: an error
		later  bool
	}{
		{name: "a read that is not there yet", method: "GET", fails: 2, with: 404, sent: 3, status: 200},
		{name: "a read that is not there", method: "GET", fails: 9, with: 404, sent: 3, status: 404},
		{name: "a read that need not be there", method: "GET", ctx: once, fails: 9, with: 404, sent: 1, status: 404},
		{name: "a read in a bad minute", method: "GET", fails: 2, with: 502, sent: 3, status: 200},
		{name: "a read in a bad hour", method: "GET", fails: 9, with: 503, sent: 3, status: 503},
		{name: "a read that gets no answer", method: "GET", fails: 2, sent: 3, status: 200},
		{name: "a read that never gets one", method: "GET", fails: 9, sent: 3},
		{name: "a write in a bad minute", method: "POST", fails: 9, with: 504, sent: 1, status: 504},
		{name: "a write that gets no answer", method: "POST", fails: 9, sent: 1},
		{name: "a write to what is not there", method: "PUT", fails: 9, with: 404, sent: 1, status: 404},
		{name: "a write that may be repeated", method: "POST", ctx: repeatable, fails: 2, sent: 3, status: 200},
		{name: "a write that may be, in a bad minute", method: "POST", ctx: repeatable, fails: 1, with: 502, sent: 2, status: 200},
		{name: "a write that another one locks out", method: "POST", fails: 1, with: 409, body: lock, sent: 2, status: 200},
		{name: "a write that stays locked out", method: "POST", fails: 9, with: 409, body: `{"message":"409 Conflict: Another update to this commit status is in progress"}`, sent: 3, later: true},
		{name: "a write of what is there", method: "POST", fails: 9, with: 409, body: taken, sent: 1, status: 409},
		{name: "a read that is wrong", method: "GET", fails: 9, with: 400, sent: 1, status: 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sent := wiredTo(own, func(n int, _ *http.Request) (*http.Response, error) {
					switch {
					case n >= test.fails:
						return says(200, `{}`)
					case test.with == 0:
						return nil, lost
					}
					return says(test.with, test.body)
				})
				ctx := t.Context()
				if test.ctx != nil {
					ctx = test.ctx(ctx)
				}
				began := time.Now()
				status, wait, err := sendBy(ctx, t, w, test.method, statusAPI)
				if status != test.status || sent.Load() != test.sent || (err != nil) != (test.status == 0) || (wait > 0) != test.later {
					t.Errorf("%d, %s, %v after %d requests; want %d after %d", status, wait, err, sent.Load(), test.status, test.sent)
				}
				if time.Since(began) > 5*time.Second {
					t.Errorf("took %s", time.Since(began))
				}
			})
		})
	}
}

// A server that hangs is given up before the courier gives up on us, and that
// is no end of the caller's context.
func TestServerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wiredTo(own, func(_ int, req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		began := time.Now()
		_, _, err := sendBy(t.Context(), t, w, http.MethodGet, "user")
		if err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "has not answered for 25s") || time.Since(began) != callLimit {
			t.Errorf("%v after %s; want that it has not answered", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := sendBy(ctx, t, w, http.MethodGet, "user"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v; want the end of its context", err)
		}
	})
}

func TestCancelledBetweenTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wiredTo(own, func(int, *http.Request) (*http.Response, error) { return says(502, "") })
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, _, err := sendBy(ctx, t, w, http.MethodGet, "user"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v; want the end of its context", err)
		}
		if len(w.limits.slots) != 0 || w.limits.flying != 0 {
			t.Errorf("still booked: %d, %d", len(w.limits.slots), w.limits.flying)
		}
	})
}

// boundless is a body without an end.
type boundless struct{}

func (boundless) Read(p []byte) (int, error) { return len(p), nil }
func (boundless) Close() error               { return nil }

func TestAnswerThatDoesNotEnd(t *testing.T) {
	w, sent := wiredTo(own, func(int, *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: boundless{}}, nil
	})
	w.most = 1 << 20
	_, _, err := sendBy(t.Context(), t, w, http.MethodGet, "user")
	if err == nil || !strings.Contains(err.Error(), "is larger than 1 MiB") || sent.Load() != 1 {
		t.Errorf("%v after %d requests; want that it is too large, after 1", err, sent.Load())
	}
}

// The token goes to the server's API and nowhere else.
func TestTokenStaysHere(t *testing.T) {
	w, sent := wiredTo(own, func(_ int, req *http.Request) (*http.Response, error) {
		if got := req.Header.Get("PRIVATE-TOKEN"); got != "glpat-secret" {
			t.Errorf("the token is %q", got)
		}
		return says(200, `{}`)
	})
	for _, address := range []string{
		"https://gitlab.example.com.evil.example/api/v4/user", "http://gitlab.example.com/api/v4/user",
		"https://gitlab.example.com/users/sign_in", "https://gitlab.example.com:8443/api/v4/user", "https://a:b@gitlab.example.com/api/v4/user",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := w.RoundTrip(req); err == nil {
			resp.Body.Close()
			t.Errorf("%s was asked", address)
		}
	}
	if sent.Load() > 0 {
		t.Errorf("%d requests went out", sent.Load())
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.String()+"user", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.RoundTrip(req)
	if err != nil || sent.Load() != 1 {
		t.Fatalf("%v after %d requests", err, sent.Load())
	}
	defer resp.Body.Close()
	if resp.Request.Header.Get("PRIVATE-TOKEN") != "" || req.Header.Get("PRIVATE-TOKEN") != "" {
		t.Error("the token is in what callers, and their errors, see of the request")
	}
}

func TestMessageOf(t *testing.T) {
	for body, want := range map[string]string{
		`{"message":"404 Project Not Found"}`:                                                  "404 Project Not Found",
		`{"error":"insufficient_scope","error_description":"higher privileges","scope":"api"}`: "insufficient_scope: higher privileges",
		`{"message":{"error":"too many times"}}`:                                               `{"error":"too many times"}`,
		`{"message":["is taken"]}`:                                                             `["is taken"]`,
		`{"error":"name is missing"}`:                                                          "name is missing",
		`{}`:                                                                                   "", `<html>`: "", ``: "", `[]`: "", `{"message":null}`: "",
	} {
		resp, _ := says(400, body)
		if got := messageOf(resp); got != want {
			t.Errorf("%s: %q; want %q", body, got, want)
		}
		if left, _ := io.ReadAll(resp.Body); string(left) != body {
			t.Errorf("%s: %q is left of the body", body, left)
		}
	}
}
