package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/registry-build/registry-build/handlers"
)

// client speaks the REST API, for the command line.
type client struct {
	server string // http://127.0.0.1:5080
	token  string
	http   *http.Client
}

// newClient takes the server and token that were given, else those of the
// environment, else those of the `up` whose data folder is dir.
func newClient(server, tokenFile, dir string) (*client, error) {
	c := &client{
		server: firstOf(server, os.Getenv("REGISTRY_BUILD_SERVER")),
		token:  os.Getenv("REGISTRY_BUILD_TOKEN"),
		http:   &http.Client{},
	}
	local, err := dataDirAt(dir)
	if err != nil {
		return nil, err
	}
	if c.server == "" {
		port, err := os.ReadFile(local.path("url"))
		if err != nil {
			return nil, fmt.Errorf("no server: name one with --server or REGISTRY_BUILD_SERVER, or start `registry-build up`")
		}
		c.server = strings.TrimSpace(string(port))
	}
	if tokenFile != "" || c.token == "" {
		file := firstOf(tokenFile, local.path("token"))
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("no token: %w; name a file with --token-file, or set REGISTRY_BUILD_TOKEN", err)
		}
		c.token = strings.TrimSpace(string(data))
	}
	c.server = strings.TrimSuffix(c.server, "/")
	return c, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// call sends in (if any) as JSON and decodes the answer into out (if any).
// An answer that is not 2xx is an error with the server's sentence, but for
// 422, whose body is an answer too where out asks for one.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	resp, err := c.do(ctx, method, path, body, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func (c *client) do(ctx context.Context, method, path string, body io.Reader, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, body)
	if err != nil {
		return nil, err
	}
	for key, values := range header {
		req.Header[key] = values
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("%s does not answer: %w", c.server, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var refused handlers.Error
	if json.Unmarshal(data, &refused) == nil && refused.Error != "" {
		return nil, errors.New(refused.Error)
	}
	var answer handlers.EventAnswer
	if json.Unmarshal(data, &answer) == nil && answer.Event != "" {
		return nil, nothingBuilt(answer)
	}
	return nil, fmt.Errorf("%s answered %s", c.server, resp.Status)
}

// nothingBuilt puts the reasons of an event without builds into one error.
func nothingBuilt(a handlers.EventAnswer) error {
	lines := []string{"nothing was built"}
	lines = append(lines, a.Errors...)
	if a.Hint != "" {
		lines = append(lines, a.Hint)
	}
	for _, r := range a.Reasons {
		lines = append(lines, reasonLine(r))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// log copies a build's log to out, following it until the build ends, and
// returns how it ended. A broken connection is taken up where it broke.
func (c *client) log(ctx context.Context, id string, out io.Writer) (handlers.EndEvent, error) {
	after := ""
	for try := 0; ; try++ {
		end, last, err := c.logOnce(ctx, id, after, out)
		if last != after {
			after, try = last, 0
		}
		if end != nil || err != nil || ctx.Err() != nil || try == 5 {
			if end == nil {
				return handlers.EndEvent{}, errors.Join(err, ctx.Err())
			}
			return *end, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second << try):
		}
	}
}

func (c *client) logOnce(ctx context.Context, id, after string, out io.Writer) (end *handlers.EndEvent, last string, err error) {
	header := http.Header{"Accept": {"text/event-stream"}}
	if after != "" {
		header.Set("Last-Event-ID", after)
	}
	resp, err := c.do(ctx, http.MethodGet, "/api/v1/builds/"+url.PathEscape(id)+"/log", nil, header)
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
