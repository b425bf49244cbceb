package handlers

import (
	"net/http"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// writeLimit is how long a reader of a log may take to take nothing before
// the connection is given up; he comes back with Last-Event-ID.
const writeLimit = time.Minute

// buildLog answers with the log as text, or, to Accept: text/event-stream,
// as events that go on until the build ends. Last-Event-ID resumes.
func (s *Server) buildLog(w http.ResponseWriter, r *http.Request, c Caller) error {
	rec, err := s.record(r, c)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Vary", "Accept")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx would hold the lines back
	h.Set("Content-Type", "text/plain; charset=utf-8")
	events := strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	if events {
		h.Set("Content-Type", "text/event-stream")
	}
	if r.Method == http.MethodHead {
		return nil
	}
	out := newLogWriter(w)
	defer out.done()
	if events {
		return s.streamLog(out, r, rec)
	}
	return s.textLog(out, r, rec)
}

func (s *Server) textLog(out *logWriter, r *http.Request, rec builder.Record) error {
	follow := r.URL.Query().Has("follow") && r.URL.Query().Get("follow") != "false"
	if follow {
		out.flush()
	}
	for chunk, err := range s.Builds.ReadLog(r.Context(), rec.ID, "", follow) {
		if err != nil {
			return err
		}
		if _, err := out.Write(chunk.Data); err != nil {
			return nil // the reader is gone
		}
		if follow {
			out.flush()
		}
	}
	return nil
}

// logWriter writes to a reader who may have stopped reading.
type logWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func newLogWriter(w http.ResponseWriter) *logWriter {
	return &logWriter{w, http.NewResponseController(w)}
}

func (l *logWriter) Write(p []byte) (int, error) {
	l.control.SetWriteDeadline(time.Now().Add(writeLimit))
	return l.ResponseWriter.Write(p)
}

func (l *logWriter) flush() error {
	l.control.SetWriteDeadline(time.Now().Add(writeLimit))
	return l.control.Flush()
}

// done takes the limit from the connection, which may serve other requests.
func (l *logWriter) done() { l.control.SetWriteDeadline(time.Time{}) }
