package github

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

// answering is a GitHub that answers from a function, told the number of the
// request from 0.
type answering func(n int, req *http.Request) (*http.Response, error)

// answerWith makes an answer; the headers are "Name: value".
func answerWith(status int, body string, headers ...string) (*http.Response, error) {
	h := http.Header{}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	return &http.Response{StatusCode: status, Status: strconv.Itoa(status), Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// wired is a wire to that GitHub, and counts what goes over it.
func wired(content bool, answer answering) (*wire, *atomic.Int64) {
	var sent atomic.Int64
	api := &url.URL{Scheme: "https", Host: "api.github.test"}
	base := roundTrip(func(req *http.Request) (*http.Response, error) {
		return answer(int(sent.Add(1)-1), req)
	})
	return &wire{base: base, api: api, limits: newLimits(time.Now, content), lag: true}, &sent
}

type roundTrip func(req *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// send makes a request and returns the answer's status, and how long to wait
// where it was a builder.Later.
func send(ctx context.Context, t *testing.T, w http.RoundTripper, method string) (status int, wait time.Duration, err error) {
	t.Helper()
	var body io.Reader
	if method != http.MethodGet {
		body = strings.NewReader("{}")
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://api.github.test/repos/acme/shop", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.RoundTrip(req)
	var later builder.Later
	if errors.As(err, &later) {
		return 0, later.Wait, err
	}
	if err != nil {
		return 0, 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, 0, nil
}

func unix(in time.Duration) string { return strconv.FormatInt(time.Now().Add(in).Unix(), 10) }

func TestLimitsAreObeyed(t *testing.T) {
	const secondary = `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`
	for _, test := range []struct {
		name   string
		answer func() (*http.Response, error)
		wait   time.Duration // until which nothing is sent; 0: it is no limit
	}{
		{"Retry-After with 403", func() (*http.Response, error) { return answerWith(403, secondary, "Retry-After: 90") }, 90 * time.Second},
		{"Retry-After with 429", func() (*http.Response, error) { return answerWith(429, "", "Retry-After: 7") }, 7 * time.Second},
		{"Retry-After as a date", func() (*http.Response, error) {
			return answerWith(429, "", "Retry-After: "+time.Now().Add(30*time.Second).UTC().Format(http.TimeFormat))
		}, 30 * time.Second},
		{"Retry-After with 503", func() (*http.Response, error) { return answerWith(503, "", "Retry-After: 20") }, 20 * time.Second},
		{"the hour is used up", func() (*http.Response, error) {
			return answerWith(403, `{"message":"API rate limit exceeded"}`, "X-RateLimit-Remaining: 0", "X-RateLimit-Limit: 5000", "X-RateLimit-Reset: "+unix(10*time.Minute))
		}, 10*time.Minute + quota.Slack},
		{"the last request of the hour", func() (*http.Response, error) {
			return answerWith(200, `{}`, "X-RateLimit-Remaining: 0", "X-RateLimit-Limit: 5000", "X-RateLimit-Reset: "+unix(10*time.Minute), "X-RateLimit-Resource: core")
		}, 10*time.Minute + quota.Slack},
		{"secondary, and no time named", func() (*http.Response, error) { return answerWith(403, secondary) }, time.Minute},
		{"another resource is used up", func() (*http.Response, error) {
			return answerWith(200, `{}`, "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: "+unix(10*time.Minute), "X-RateLimit-Resource: search")
		}, 0},
		{"a permission is missing", func() (*http.Response, error) {
			return answerWith(403, `{"message":"Resource not accessible by integration"}`, "X-RateLimit-Remaining: 10")
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sent := wired(true, func(n int, _ *http.Request) (*http.Response, error) {
					if n == 0 {
						return test.answer()
					}
					return answerWith(200, `{}`)
				})
				send(t.Context(), t, w, http.MethodPost)
				if test.wait == 0 {
					if status, wait, err := send(t.Context(), t, w, http.MethodGet); status != 200 {
						t.Errorf("the next one: %d, %s, %v; want 200", status, wait, err)
					}
					return
				}
				for _, ctx := range []context.Context{t.Context(), quota.Urgent(t.Context())} {
					_, wait, err := send(ctx, t, w, http.MethodGet)
					if wait != test.wait || sent.Load() != 1 {
						t.Errorf("the next one: %v after %d requests; want builder.Later in %s after 1", err, sent.Load(), test.wait)
					}
				}
				time.Sleep(test.wait)
				if status, _, err := send(t.Context(), t, w, http.MethodGet); status != 200 {
					t.Errorf("after the wait: %d, %v; want 200", status, err)
				}
			})
		})
	}
}

// A limit that names no time is met more and more slowly.
func TestSecondaryLimitsInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wired(true, func(n int, _ *http.Request) (*http.Response, error) {
			if n == 8 {
				return answerWith(200, `{}`)
			}
			return answerWith(403, `{"message":"You have triggered an abuse detection mechanism"}`)
		})
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 16, 16, 16} {
			_, wait, err := send(t.Context(), t, w, http.MethodGet)
			if wait != want*time.Minute {
				t.Errorf("limit %d: %v; want %s", i, err, want*time.Minute)
			}
			time.Sleep(wait)
		}
		send(t.Context(), t, w, http.MethodGet)
		if _, wait, err := send(t.Context(), t, w, http.MethodGet); wait != time.Minute {
			t.Errorf("after a success: %v; want a minute", err)
		}
	})
}

// A short wait is waited, also by writes: nothing was done yet.
func TestShortWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, sent := wired(true, func(n int, req *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(req.Body)
			if string(body) != "{}" {
				t.Errorf("request %d has the body %q", n, body)
			}
			if n == 0 {
				return answerWith(429, "", "Retry-After: 1")
			}
			return answerWith(201, `{}`)
		})
		began := time.Now()
		status, _, err := send(t.Context(), t, w, http.MethodPost)
		if status != 201 || sent.Load() != 2 || time.Since(began) != time.Second {
			t.Errorf("%d, %v after %d requests and %s; want 201 after 2 and a second", status, err, sent.Load(), time.Since(began))
		}
	})
}

// spend makes requests until there is no room, and returns how many.
func spend(ctx context.Context, t *testing.T, w *wire, method string) (n int, wait time.Duration) {
	t.Helper()
	for ; n < 2000; n++ {
		_, wait, err := send(ctx, t, w, method)
		if wait > 0 {
			return n, wait
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return n, 0
}

func TestBudgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wired(true, func(int, *http.Request) (*http.Response, error) { return answerWith(200, `{}`) })
		urgent := quota.Urgent(t.Context())

		n, wait := spend(t.Context(), t, w, http.MethodPatch)
		if n != writesAMinute-minuteReserve || wait > time.Minute+quota.Slack {
			t.Errorf("%d writes, then %s; want %d and about a minute", n, wait, writesAMinute-minuteReserve)
		}
		if n, _ := spend(urgent, t, w, http.MethodPatch); n != minuteReserve {
			t.Errorf("%d urgent writes beside; want %d", n, minuteReserve)
		}
		if status, _, err := send(t.Context(), t, w, http.MethodGet); status != 200 {
			t.Errorf("a read: %v; want that writes do not stop it", err)
		}
		time.Sleep(wait)
		hour := writesAMinute
		for range 60 {
			n, _ := spend(t.Context(), t, w, http.MethodPost)
			hour += n
			time.Sleep(30 * time.Second)
		}
		if hour > writesAnHour-hourReserve {
			t.Errorf("%d ordinary writes in an hour; want at most %d", hour, writesAnHour-hourReserve)
		}
		if status, _, err := send(urgent, t, w, http.MethodPost); status != 200 {
			t.Errorf("an urgent write after a busy hour: %v", err)
		}
		time.Sleep(time.Hour + 2*quota.Slack)
		if status, _, err := send(t.Context(), t, w, http.MethodPost); status != 200 {
			t.Errorf("an ordinary write an hour later: %v", err)
		}
	})
}

func TestPoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wired(false, func(int, *http.Request) (*http.Response, error) { return answerWith(200, `{}`) })
		n, _ := spend(t.Context(), t, w, http.MethodGet)
		if n != pointsAMinute-pointsReserve {
			t.Errorf("%d reads; want %d", n, pointsAMinute-pointsReserve)
		}
		if n, _ := spend(quota.Urgent(t.Context()), t, w, http.MethodPost); n != pointsReserve/writeCost {
			t.Errorf("%d urgent writes beside; want %d", n, pointsReserve/writeCost)
		}
	})
}

// Looks for what was missed leave half of a minute, and a quarter of an hour.
func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wired(false, func(int, *http.Request) (*http.Response, error) { return answerWith(200, `{}`) })
		if n, _ := spend(quota.InBackground(t.Context()), t, w, http.MethodGet); n != pointsAMinute-backgroundPoints {
			t.Errorf("%d looks; want %d", n, pointsAMinute-backgroundPoints)
		}
		if n, _ := spend(t.Context(), t, w, http.MethodGet); n != backgroundPoints-pointsReserve {
			t.Errorf("%d reads beside; want %d", n, backgroundPoints-pointsReserve)
		}
		w, _ = wired(false, func(int, *http.Request) (*http.Response, error) {
			return answerWith(200, `{}`, "X-RateLimit-Limit: 5000", "X-RateLimit-Remaining: 1250", "X-RateLimit-Reset: "+unix(20*time.Minute))
		})
		send(quota.InBackground(t.Context()), t, w, http.MethodGet)
		if _, wait, err := send(quota.InBackground(t.Context()), t, w, http.MethodGet); wait != 20*time.Minute+quota.Slack {
			t.Errorf("a look at the last quarter: %v; want builder.Later", err)
		}
		if status, _, err := send(t.Context(), t, w, http.MethodPost); status != 200 {
			t.Errorf("a write: %v", err)
		}
	})
}

// The last requests of the hour are for results.
func TestPrimaryReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wired(true, func(int, *http.Request) (*http.Response, error) {
			return answerWith(200, `{}`, "X-RateLimit-Limit: 5000", "X-RateLimit-Remaining: 100", "X-RateLimit-Reset: "+unix(20*time.Minute))
		})
		send(t.Context(), t, w, http.MethodGet)
		if _, wait, err := send(t.Context(), t, w, http.MethodPost); wait != 20*time.Minute+quota.Slack {
			t.Errorf("an ordinary write: %v; want builder.Later", err)
		}
		if status, _, err := send(quota.Urgent(t.Context()), t, w, http.MethodPost); status != 200 {
			t.Errorf("an urgent write: %v", err)
		}
		if status, _, err := send(t.Context(), t, w, http.MethodGet); status != 200 {
			t.Errorf("a read: %v", err)
		}
	})
}

func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at, most atomic.Int64
		w, sent := wired(false, func(int, *http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), at.Add(1)))
			time.Sleep(time.Second)
			at.Add(-1)
			return answerWith(200, `{}`)
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.github.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 * atOnce {
			go w.RoundTrip(req)
		}
		time.Sleep(time.Minute)
		if most.Load() != atOnce || sent.Load() != 3*atOnce {
			t.Errorf("%d at once, %d in all; want %d, %d", most.Load(), sent.Load(), atOnce, 3*atOnce)
		}
	})
}

func TestRepeats(t *testing.T) {
	lost := errors.New("connection reset by peer")
	for _, test := range []struct {
		name   string
		method string
		ctx    func(context.Context) context.Context
		fails  int // so many times
		with   int // status; 0: no answer
		sent   int64
		status int // in the end; 0: an error
	}{
		{name: "a read that is not there yet", method: "GET", fails: 2, with: 404, sent: 3, status: 200},
		{name: "a read that is not there", method: "GET", fails: 9, with: 404, sent: 3, status: 404},
		{name: "a read that need not be there", method: "GET", ctx: once, fails: 9, with: 404, sent: 1, status: 404},
		{name: "a read in a bad minute", method: "GET", fails: 2, with: 502, sent: 3, status: 200},
		{name: "a read in a bad hour", method: "GET", fails: 9, with: 502, sent: 3, status: 502},
		{name: "a read that gets no answer", method: "GET", fails: 2, sent: 3, status: 200},
		{name: "a read that never gets one", method: "GET", fails: 9, sent: 3},
		{name: "a write in a bad minute", method: "POST", fails: 9, with: 502, sent: 1, status: 502},
		{name: "a write that gets no answer", method: "POST", fails: 9, sent: 1},
		{name: "a write to what is not there", method: "PATCH", fails: 9, with: 404, sent: 1, status: 404},
		{name: "a write that may be repeated", method: "POST", ctx: repeatable, fails: 2, sent: 3, status: 200},
		{name: "a read that is wrong", method: "GET", fails: 9, with: 422, sent: 1, status: 422},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sent := wired(true, func(n int, _ *http.Request) (*http.Response, error) {
					switch {
					case n >= test.fails:
						return answerWith(200, `{}`)
					case test.with == 0:
						return nil, lost
					}
					return answerWith(test.with, `{"message":"no"}`)
				})
				ctx := t.Context()
				if test.ctx != nil {
					ctx = test.ctx(ctx)
				}
				status, _, err := send(ctx, t, w, test.method)
				if status != test.status || sent.Load() != test.sent || (err != nil) != (test.status == 0) {
					t.Errorf("%d, %v after %d requests; want %d after %d", status, err, sent.Load(), test.status, test.sent)
				}
			})
		})
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
func (endless) Close() error               { return nil }

func TestAnswerWithoutEnd(t *testing.T) {
	w, _ := wired(false, func(int, *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: endless{}}, nil
	})
	_, _, err := send(t.Context(), t, w, http.MethodPost)
	if err == nil || !strings.Contains(err.Error(), "is larger than 64 MiB") {
		t.Errorf("got %v; want that it is too large", err)
	}
}

// The token goes to GitHub and nowhere else.
func TestNothingGoesElsewhere(t *testing.T) {
	w, sent := wired(false, func(int, *http.Request) (*http.Response, error) { return answerWith(200, `{}`) })
	for _, address := range []string{"https://api.github.test.evil.example/repos/acme/shop", "http://api.github.test/repos/acme/shop"} {
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
}

func TestCancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := wired(true, func(int, *http.Request) (*http.Response, error) { return answerWith(502, "") })
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, _, err := send(ctx, t, w, http.MethodGet); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v; want the end of its context", err)
		}
		if len(w.limits.slots) != 0 || w.limits.flying != 0 {
			t.Error(fmt.Sprint("still booked: ", len(w.limits.slots), w.limits.flying))
		}
	})
}
