package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/registry-build/registry-build/handlers"
)

// logTries is how often a log that breaks off is asked for again before it is
// given up, over half a minute: a server that stops and starts is back then.
const logTries = 6

// log copies a build's log to out, following it until the build ends, and
// returns how it ended. Where the connection breaks, or the server is started
// again, it goes on where it was.
func (c *client) log(ctx context.Context, id string, out io.Writer) (handlers.EndEvent, error) {
	after, reached := "", false
	for try := 0; ; try++ {
		end, last, err := c.logOnce(ctx, id, after, out)
		if last != after {
			after, try = last, 0
		}
		reached = reached || err == nil
		switch {
		case end != nil:
			return *end, err
		case ctx.Err() != nil:
			return handlers.EndEvent{}, ctx.Err()
		case err != nil && !(reached && errors.As(err, new(away))):
			return handlers.EndEvent{}, err
		case try == logTries:
			return handlers.EndEvent{}, errors.Join(fmt.Errorf("the log of %s broke off; the build goes on without it", id), err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(c.pause << try):
		}
	}
}

// logOnce is one connection. end is nil where it broke off.
func (c *client) logOnce(ctx context.Context, id, after string, out io.Writer) (end *handlers.EndEvent, last string, err error) {
	header := http.Header{"Accept": {"text/event-stream"}}
	if after != "" {
		header.Set("Last-Event-ID", after)
	}
	resp, err := c.do(ctx, http.MethodGet, buildPath(id, "/log"), nil, header)
	if err != nil {
		return nil, after, err
	}
	defer resp.Body.Close()
	var event string
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, after, nil // cut: the caller resumes
		}
		field, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ": ")
		switch field {
		case "event":
			event = value
		case "id":
			after = value
		case "data":
			if event == "end" {
				end = new(handlers.EndEvent)
				return end, after, json.Unmarshal([]byte(value), end)
			}
			var text handlers.LogEvent
			if err := json.Unmarshal([]byte(value), &text); err != nil {
				return nil, after, err
			}
			io.WriteString(out, text.Text)
		}
	}
}
