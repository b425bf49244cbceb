package githubtest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// rawDescription is the file as far as it is taken apart.
type rawDescription struct {
	OpenAPI    string                                `json:"openapi"`
	Info       json.RawMessage                       `json:"info"`
	Paths      map[string]json.RawMessage            `json:"paths"`
	Components map[string]map[string]json.RawMessage `json:"components"`
	Webhooks   map[string]json.RawMessage            `json:"x-webhooks"`
}

// sent are the webhooks that the double sends, as the description names them.
var sent = []string{
	"push", "create", "delete", "ping", "issue-comment-created", "issue-comment-edited", "issue-comment-deleted", "commit-comment-created",
	"pull-request-opened", "pull-request-closed", "pull-request-reopened", "pull-request-synchronize", "pull-request-edited",
	"pull-request-ready-for-review", "check-run-created", "check-run-completed", "check-run-rerequested", "check-run-requested-action",
	"check-suite-requested", "check-suite-rerequested", "installation-created", "installation-deleted", "installation-suspend",
	"installation-unsuspend", "installation-new-permissions-accepted", "installation-repositories-added", "installation-repositories-removed",
	"merge-group-checks-requested", "repository-renamed", "repository-transferred", "repository-deleted", "repository-edited",
	"repository-privatized", "repository-publicized", "deployment-created",
}

// webhook names the schema of an event and action.
func (raw rawDescription) webhook(key string) string {
	found := references(raw.Webhooks[key])
	if len(found) == 0 {
		return ""
	}
	return strings.TrimPrefix(found[0], "schemas/")
}

// trimmed is the part of the description that the double uses. 13 MB take
// seconds to read, under the race detector most of a minute's patience, so
// what is left of them is kept beside the package.
func trimmed() ([]byte, error) {
	source, err := module("@octokit/openapi/generated/api.github.com.json")
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(source)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintln(info.Size(), info.ModTime().UnixNano(), slices.Sorted(maps.Keys(routes)), sent, prose)
	kept := filepath.Join(filepath.Dir(source), fmt.Sprintf("githubtest-%x.json", sha256.Sum256([]byte(key))))
	if data, err := os.ReadFile(kept); !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	data, err := os.ReadFile(source)
	if err != nil {
		return nil, err
	}
	var raw rawDescription
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("read GitHub's description: %w", err)
	}
	if data, err = raw.trim(); err != nil {
		return nil, err
	}
	// Several test binaries may be at it; a folder that cannot be written only
	// costs time.
	if temporary, err := os.CreateTemp(filepath.Dir(source), "githubtest-*.tmp"); err == nil {
		_, werr := temporary.Write(data)
		if err := errors.Join(werr, temporary.Chmod(0o644), temporary.Close()); err != nil || os.Rename(temporary.Name(), kept) != nil {
			_ = os.Remove(temporary.Name())
		}
	}
	return data, nil
}

// trim keeps the operations of the double and what they refer to, without the
// prose and the examples.
func (raw rawDescription) trim() ([]byte, error) {
	out := rawDescription{
		OpenAPI: raw.OpenAPI, Info: raw.Info, Paths: map[string]json.RawMessage{}, Webhooks: map[string]json.RawMessage{},
		Components: map[string]map[string]json.RawMessage{},
	}
	var wanted []string
	keep := func(into map[string]json.RawMessage, from map[string]json.RawMessage, key string) error {
		if into[key] != nil {
			return nil
		}
		body, ok := from[key]
		if !ok {
			return fmt.Errorf("GitHub's description has no %s", key)
		}
		short, err := withoutProse(body)
		into[key] = short
		wanted = append(wanted, references(short)...)
		return err
	}
	for name := range routes {
		_, path, _ := strings.Cut(name, " ")
		if err := keep(out.Paths, raw.Paths, path); err != nil {
			return nil, err
		}
	}
	for _, key := range sent {
		if err := keep(out.Webhooks, raw.Webhooks, key); err != nil {
			return nil, err
		}
	}
	for len(wanted) > 0 {
		kind, name, _ := strings.Cut(wanted[0], "/")
		wanted = wanted[1:]
		if out.Components[kind] == nil {
			out.Components[kind] = map[string]json.RawMessage{}
		}
		if err := keep(out.Components[kind], raw.Components[kind], name); err != nil {
			return nil, err
		}
	}
	return json.Marshal(out)
}

// prose are the keys that say nothing about what is valid.
var prose = []string{"examples", "example", "summary", "title", "externalDocs", "x-github", "tags"}

func withoutProse(body json.RawMessage) (json.RawMessage, error) {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, err
	}
	strip(v)
	return json.Marshal(v)
}

// strip leaves the keys below "properties" alone: those are names of fields.
func strip(v any) {
	switch v := v.(type) {
	case []any:
		for _, inner := range v {
			strip(inner)
		}
	case map[string]any:
		for _, key := range prose {
			delete(v, key)
		}
		if _, prosaic := v["description"].(string); prosaic && v["content"] == nil && v["headers"] == nil {
			delete(v, "description")
		}
		for key, inner := range v {
			fields, ok := inner.(map[string]any)
			if key != "properties" || !ok {
				strip(inner)
				continue
			}
			for _, field := range fields {
				strip(field)
			}
		}
	}
}

var reference = regexp.MustCompile(`"\$ref":\s*"#/components/([^"]+)"`)

func references(body json.RawMessage) []string {
	var out []string
	for _, m := range reference.FindAllSubmatch(body, -1) {
		out = append(out, string(m[1]))
	}
	return out
}
