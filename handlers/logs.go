package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/registry-build/registry-build/builder"
)

// quietFor is how long a stream is silent before it says that it is still
// there: proxies cut connections after 30 seconds or more.
const quietFor = 15 * time.Second

// LogEvent is the data of a server-sent event "log".
type LogEvent struct {
	Text string `json:"text"`
}

// EndEvent is the data of the last server-sent event, "end".
type EndEvent struct {
	State  string `json:"state"`
	Status string `json:"status"`
}

// buildLog answers with the log as text, or, to Accept: text/event-stream,
// as events that go on until the build ends. Last-Event-ID resumes.
func (s *Server) buildLog(w http.ResponseWriter, r *http.Request, c Caller) error {
	rec, err := s.record(r, c)
	if err != nil {
		return err
	}
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return s.streamLog(w, r, rec)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	for chunk, err := range s.Builds.ReadLog(r.Context(), rec.ID, "", r.URL.Query().Has("follow")) {
		if err != nil {
			return err
		}
		if _, err := w.Write(chunk.Data); err != nil {
			return nil // the reader is gone
		}
		if r.URL.Query().Has("follow") {
			http.NewResponseController(w).Flush()
		}
	}
	return nil
}

// chunkID is what the store gives out; anything else from a header is not
// passed on.
var chunkID = regexp.MustCompile(`^[0-9]+(-[0-9]+)?$`)

func (s *Server) streamLog(w http.ResponseWriter, r *http.Request, rec builder.Record) error {
	after := r.Header.Get("Last-Event-ID")
	if after != "" && !chunkID.MatchString(after) {
		return refuse(http.StatusBadRequest, "Last-Event-ID is %q; it must be the id of an event of this stream", after)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold the lines back
	flush := http.NewResponseController(w).Flush
	if err := flush(); err != nil {
		return err
	}
	var text utf8Joiner
	chunks := s.followLog(r.Context(), rec.ID, after)
	quiet := time.NewTicker(quietFor)
	defer quiet.Stop()
	for chunks != nil {
		var err error
		select {
		case <-r.Context().Done():
			return nil
		case <-quiet.C:
			_, err = io.WriteString(w, ": still there\n\n")
		case c, open := <-chunks:
			switch {
			case !open:
				chunks = nil
			case c.err != nil:
				return c.err
			default:
				err = sendEvent(w, "log", c.ID, LogEvent{text.join(c.Data)})
			}
		}
		if err != nil {
			return nil // the reader is gone
		}
		flush()
	}
	rec, err := s.Builds.Build(r.Context(), rec.ID)
	if err != nil {
		return err
	}
	sendEvent(w, "end", "", EndEvent{string(rec.State), builder.Describe(rec)})
	return flush()
}

type chunkOrError struct {
	builder.LogChunk
	err error
}

// followLog reads the log into a channel, so that waiting for more of it and
// keeping the connection alive can be one select.
func (s *Server) followLog(ctx context.Context, id, after string) <-chan chunkOrError {
	chunks := make(chan chunkOrError)
	go func() {
		defer close(chunks)
		for chunk, err := range s.Builds.ReadLog(ctx, id, after, true) {
			select {
			case chunks <- chunkOrError{chunk, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return chunks
}

func sendEvent(w io.Writer, event, id string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	_, err = fmt.Fprintf(w, "event: %s\n%sdata: %s\n\n", event, id, body)
	return err
}

// utf8Joiner keeps a character that a chunk's end cut in two for the next.
type utf8Joiner struct{ rest []byte }

func (j *utf8Joiner) join(data []byte) string {
	data = append(j.rest, data...)
	end := len(data)
	for back := 1; back <= utf8.UTFMax && back <= len(data); back++ {
		if b := data[len(data)-back]; utf8.RuneStart(b) {
			if !utf8.FullRune(data[len(data)-back:]) {
				end = len(data) - back
			}
			break
		}
	}
	j.rest = append([]byte(nil), data[end:]...)
	return string(data[:end])
}
