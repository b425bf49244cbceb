package handlers

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/registry-build/registry-build/builder"
)

const (
	// quietFor is how long a stream is silent before it says that it is still
	// there: proxies cut connections after 30 seconds or more.
	quietFor = 15 * time.Second
	// reconnect tells browsers how soon to come back after a cut, in ms.
	reconnect = 1000
)

// LogEvent is the data of a server-sent event "log".
type LogEvent struct {
	Text string `json:"text"`
}

// EndEvent is the data of the last server-sent event, "end".
type EndEvent struct {
	State  string `json:"state"`
	Status string `json:"status"`
}

// streamLog sends the log as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (s *Server) streamLog(out *logWriter, r *http.Request, rec builder.Record) error {
	after, text, err := parseEventID(r.Header.Get("Last-Event-ID"))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "retry: %d\n\n", reconnect)
	if out.flush() != nil {
		return nil // the reader is gone
	}
	ctx, done := context.WithCancel(r.Context())
	defer done()
	chunks := s.followLog(ctx, rec.ID, after)
	quiet := time.NewTimer(quietFor)
	defer quiet.Stop()
	for chunks != nil {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-quiet.C:
			_, err = io.WriteString(out, ": still there\n\n")
		case c, open := <-chunks:
			switch {
			case !open:
				chunks = nil
				if rest := text.end(); rest != "" {
					err = sendEvent(out, "log", after, LogEvent{rest})
				}
			case c.err != nil:
				return c.err
			default:
				after = c.ID
				line := text.join(c.Data)
				err = sendEvent(out, "log", eventID(after, text), LogEvent{line})
			}
		}
		if err != nil || out.flush() != nil {
			return nil // the reader is gone
		}
		quiet.Reset(quietFor)
	}
	if rec, err = s.Builds.Build(ctx, rec.ID); err != nil {
		return err
	}
	sendEvent(out, "end", "", EndEvent{string(rec.State), builder.Describe(rec)})
	out.flush()
	return nil
}

type chunkOrError struct {
	builder.LogChunk
	err error
}

// followLog reads the log into a channel, so that waiting for more of it and
// keeping the connection alive can be one select. It ends with ctx.
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

// An event's ID is the chunk that it ends with and, where a chunk's end cut a
// character in two, the bytes of it that have not been sent: "17.e282". So
// who resumes there misses nothing and gets nothing twice, whichever server he
// comes to.
var eventIDPattern = regexp.MustCompile(`^([0-9]{1,18}(?:-[0-9]{1,18})?)(?:\.((?:[0-9a-f]{2}){1,3}))?$`)

func eventID(chunk string, text utf8Joiner) string {
	if len(text.rest) == 0 {
		return chunk
	}
	return chunk + "." + hex.EncodeToString(text.rest)
}

func parseEventID(id string) (chunk string, text utf8Joiner, err error) {
	if id == "" {
		return "", text, nil
	}
	part := eventIDPattern.FindStringSubmatch(id)
	if part == nil {
		return "", text, refuse(http.StatusBadRequest, "Last-Event-ID is %q; it must be the id of an event of this stream", id)
	}
	text.rest, err = hex.DecodeString(part[2])
	return part[1], text, err
}

// utf8Joiner keeps a character that a chunk's end cut in two for the next.
type utf8Joiner struct{ rest []byte }

func (j *utf8Joiner) join(data []byte) string {
	data = append(j.rest, data...)
	end := len(data)
	for back := 1; back <= utf8.UTFMax && back <= len(data); back++ {
		if tail := data[len(data)-back:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				end -= back
			}
			break
		}
	}
	j.rest = append([]byte(nil), data[end:]...)
	return string(data[:end])
}

// end returns what is left of a log that ends within a character.
func (j *utf8Joiner) end() string {
	rest := string(j.rest)
	j.rest = nil
	return rest
}
