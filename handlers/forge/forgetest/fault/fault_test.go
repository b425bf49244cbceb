package fault_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/fault"
)

func TestFits(t *testing.T) {
	for _, test := range []struct {
		pattern, method, path string
		want                  bool
	}{
		{"POST /repos/a/b/check-runs", "POST", "/repos/a/b/check-runs", true},
		{"POST /repos/a/b/check-runs", "GET", "/repos/a/b/check-runs", false},
		{"* /repos/*/b/check-runs", "PATCH", "/repos/x/b/check-runs", true},
		{"* /repos/*", "GET", "/repos/a/b", false},
		{"GET /repos/**", "GET", "/repos/a/b/c", true},
		{"GET [", "GET", "/", false},
	} {
		if got := fault.Fits(test.pattern, test.method, test.path); got != test.want {
			t.Errorf("%q and %s %s: %v", test.pattern, test.method, test.path, got)
		}
	}
}

func TestNext(t *testing.T) {
	var next fault.Next[string]
	next.Add("POST /notes", 2, "first")
	next.Add("* /**", 1, "second")
	got := []string{}
	for _, method := range []string{"POST", "GET", "POST", "POST"} {
		failure, fails := next.Take(httptest.NewRequest(method, "/notes", nil))
		if fails {
			got = append(got, method+" "+failure)
		}
	}
	if want := []string{"POST first", "GET second", "POST first"}; !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
	next.Add("* /**", 1, "forgotten")
	next.Forget()
	if failure, fails := next.Take(httptest.NewRequest("GET", "/", nil)); fails {
		t.Errorf("%q after Forget", failure)
	}
}

type letter struct {
	to   string
	lost bool
}

func TestCourier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fault.NewCourier(func(_ context.Context, l *letter, lost func() bool) bool {
			if l.to == "nobody" {
				return false
			}
			l.lost = lost()
			return true
		})
		defer c.Close()
		c.Hold(true)
		for _, to := range []string{"a", "nobody", "b", "c"} {
			c.Add(&letter{to: to})
		}
		synctest.Wait()
		if got := c.Ended(); got != nil {
			t.Fatalf("delivered while held: %v", got)
		}
		c.Lose(1) // what is not delivered cannot be lost
		c.Reverse()
		c.Hold(false)
		if err := c.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := c.Ended(), []letter{{"c", true}, {"b", false}, {"a", false}}; !slices.Equal(got, want) {
			t.Errorf("%v; want %v", got, want)
		}
		c.Hold(true)
		c.Add(&letter{to: "late"})
		ended, end := context.WithCancel(t.Context())
		end()
		if err := c.Settle(ended); err == nil {
			t.Error("settled while a delivery is held")
		}
	})
}
