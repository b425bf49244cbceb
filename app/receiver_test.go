package app

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/registry-build/registry-build/builder/trigger/webhook"
)

const (
	hookSecret = "a-secret-that-nobody-guesses" // what `receiver` checks signatures with
	holds      = 0                              // the status of a request that is never answered
	// taken is what the chats answer, each in its words, when they took a message.
	taken = `{"errcode":0,"errmsg":"ok","code":0,"msg":"success"}`
)

// cmdReceiver starts an HTTP server that writes each request into hooks.log,
// and sets HOOK to its address and HOOK_SECRET to what it checks signatures
// with: receiver [STATUS...]. The first requests are answered with these
// statuses, or not at all where one is "hold"; the rest with 200.
func cmdReceiver(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	answers := make(chan int, len(args))
	for _, arg := range args {
		status, err := strconv.Atoi(arg)
		if arg == "hold" {
			status, err = holds, nil
		}
		ts.Check(err)
		answers <- status
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	file := filepath.Join(s.dir, "hooks.log")
	ts.Check(os.WriteFile(file, nil, 0o600))
	s.receiver = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusOK
		select {
		case status = <-answers:
		default:
		}
		if writeRequest(file, r, status) != nil {
			return
		}
		if status == holds {
			<-r.Context().Done() // whoever asked is gone
			return
		}
		w.WriteHeader(status)
		io.WriteString(w, taken)
	})}
	go s.receiver.Serve(l)
	ts.Setenv("HOOK", "http://"+l.Addr().String())
	ts.Setenv("HOOK_SECRET", hookSecret)
}

// writeRequest appends three lines: where it went, what became of it, the body.
func writeRequest(file string, r *http.Request, status int) error {
	body, _ := io.ReadAll(r.Body)
	h := r.Header
	answered := fmt.Sprintf("answered %d", status)
	if status == holds {
		answered = "not answered"
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s %s (%s) delivery %s\n", r.Method, r.URL.RequestURI(), h.Get("Content-Type"), h.Get(webhook.DeliveryHeader))
	fmt.Fprintf(&text, "%s, %s, %s\n%s\n", h.Get(webhook.EventHeader), signature(h.Get(webhook.SignatureHeader), body), answered, bytes.TrimSpace(body))
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(text.Bytes())
	return err
}

// signature says what a receiver finds out about a delivery.
func signature(header string, body []byte) string {
	if header == "" {
		return "not signed"
	}
	t, _, _ := strings.Cut(strings.TrimPrefix(header, "t="), ",")
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil || webhook.Sign(hookSecret, time.Unix(seconds, 0), body) != header {
		return "signature wrong: " + header
	}
	return "signature good"
}
