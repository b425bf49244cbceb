package app

import (
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
	hint   string        // what to do when it does not answer
	pause  time.Duration // before a log is asked for again; doubled each time
}

// newClient takes the server and token that were given, else those of the
// environment, else those of the `up` whose data folder is dir.
func newClient(server, tokenFile, dir string) (*client, error) {
	c := &client{
		server: firstOf(server, os.Getenv("REGISTRY_BUILD_SERVER")),
		token:  os.Getenv("REGISTRY_BUILD_TOKEN"),
		http:   &http.Client{},
		pause:  500 * time.Millisecond,
	}
	local, err := dataDirAt(dir)
	if err != nil {
		return nil, err
	}
	if c.server == "" {
		address, err := os.ReadFile(local.path("url"))
		if err != nil {
			return nil, fmt.Errorf("no server: name one with --server or REGISTRY_BUILD_SERVER, or start `registry-build up`")
		}
		c.server = strings.TrimSpace(string(address))
		c.hint = "; start `registry-build up` again"
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

// away is an error of a server that may be back in a moment: it does not
// answer, or is stopping or starting.
type away struct{ error }

func (a away) Unwrap() error { return a.error }

// call sends in (if any) as JSON and decodes the answer into out (if any).
// An answer that is not 2xx is an error with the server's sentence.
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
		return nil, away{fmt.Errorf("%s does not answer: %w%s", c.server, err, c.hint)}
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var refused handlers.Error
	said := json.Unmarshal(data, &refused) == nil && refused.Error != ""
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable:
		return nil, away{fmt.Errorf("%s: %s", c.server, firstOf(refused.Error, strings.TrimSpace(string(data)), resp.Status))}
	case said:
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
