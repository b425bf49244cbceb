package registry

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestGuardBoundsAnswers(t *testing.T) {
	released := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/endless" {
			for buf := make([]byte, 1<<20); ; {
				if _, err := w.Write(buf); err != nil {
					return
				}
			}
		}
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-released:
		}
	}))
	defer server.Close()
	defer close(released)
	for path, check := range map[string]func(n int64, err error) bool{
		"/endless": func(n int64, err error) bool { return n == maxBody && errors.Is(err, errTooLong) },
		"/slow": func(_ int64, err error) bool {
			var network net.Error
			return errors.As(err, &network) && network.Timeout()
		},
	} {
		t.Run(path, func(t *testing.T) {
			g := &guard{next: http.DefaultTransport, bodyTime: time.Minute}
			if path == "/slow" {
				g.bodyTime = 10 * time.Millisecond
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := g.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if n, err := io.Copy(io.Discard, resp.Body); !check(n, err) {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}
