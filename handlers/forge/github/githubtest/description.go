package githubtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/gorilla/mux"
)

// description loads GitHub's description once in a process.
var description = sync.OnceValues(loadDescription)

// apiDescription is the part of GitHub's description that the double uses.
type apiDescription struct {
	router   *mux.Router
	routes   map[string]*routers.Route
	webhooks map[string]*openapi3.Schema // by event and action: "issue-comment-created"
}

// find has the router of the double: kin-openapi's takes the first path that
// fits, and commits/{ref} would take commits/{ref}/status.
func (d *apiDescription) find(r *http.Request) (*routers.Route, map[string]string, bool) {
	var match mux.RouteMatch
	if !d.router.Match(r, &match) || match.MatchErr != nil {
		return nil, nil, false
	}
	route := d.routes[match.Route.GetName()]
	return route, match.Vars, route != nil
}

// module is a file of an npm package that testdata/package.json names.
func module(path string) (string, error) {
	_, here, _, _ := runtime.Caller(0)
	full := filepath.Join(filepath.Dir(here), "testdata", "node_modules", filepath.FromSlash(path))
	if _, err := os.Stat(full); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is missing: run `make test-deps`", full)
	}
	return full, nil
}

type rawDescription struct {
	OpenAPI    string                                `json:"openapi"`
	Info       json.RawMessage                       `json:"info"`
	Paths      map[string]json.RawMessage            `json:"paths"`
	Components map[string]map[string]json.RawMessage `json:"components"`
	Webhooks   map[string]struct {
		Post struct {
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					} `json:"schema"`
				} `json:"content"`
			} `json:"requestBody"`
		} `json:"post"`
	} `json:"x-webhooks,omitempty"`
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

const schemas = "#/components/schemas/"

// webhook is the schema of an event and action; "" if the double sends none.
func (raw rawDescription) webhook(key string) string {
	if !slices.Contains(sent, key) {
		return ""
	}
	return strings.TrimPrefix(raw.Webhooks[key].Post.RequestBody.Content["application/json"].Schema.Ref, schemas)
}

func loadDescription() (*apiDescription, error) {
	path, err := module("@octokit/openapi/generated/api.github.com.json")
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var raw rawDescription
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("read GitHub's description: %w", err)
	}
	if data, err = trim(raw); err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		return nil, fmt.Errorf("load GitHub's description: %w", err)
	}
	d := &apiDescription{router: mux.NewRouter(), routes: map[string]*routers.Route{}, webhooks: map[string]*openapi3.Schema{}}
	for _, path := range byLength(doc.Paths.Map()) {
		item := doc.Paths.Value(path)
		for method, operation := range item.Operations() {
			name := method + " " + path
			d.router.Methods(method).Path(deepParameters.Replace(path)).Name(name)
			d.routes[name] = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: operation}
		}
	}
	for key := range raw.Webhooks {
		if name := raw.webhook(key); name != "" {
			d.webhooks[key] = doc.Components.Schemas[name].Value
		}
	}
	return d, nil
}

// trim keeps the operations of the double and what they refer to: 13 MB take
// seconds to load, a tenth of it does not.
func trim(raw rawDescription) ([]byte, error) {
	used := map[string]bool{}
	for name := range routes {
		_, path, _ := strings.Cut(name, " ")
		used[path] = true
	}
	out := rawDescription{OpenAPI: raw.OpenAPI, Info: raw.Info, Paths: map[string]json.RawMessage{}, Components: map[string]map[string]json.RawMessage{}}
	var wanted []string
	for path := range used {
		body, ok := raw.Paths[path]
		if !ok {
			return nil, fmt.Errorf("GitHub's description has no %s", path)
		}
		out.Paths[path] = body
		wanted = append(wanted, references(body)...)
	}
	for key := range raw.Webhooks {
		if name := raw.webhook(key); name != "" {
			wanted = append(wanted, "schemas/"+name)
		}
	}
	for len(wanted) > 0 {
		kind, name, _ := strings.Cut(wanted[0], "/")
		wanted = wanted[1:]
		if out.Components[kind] == nil {
			out.Components[kind] = map[string]json.RawMessage{}
		}
		if out.Components[kind][name] != nil {
			continue
		}
		body := raw.Components[kind][name]
		out.Components[kind][name] = body
		wanted = append(wanted, references(body)...)
	}
	return json.Marshal(out)
}

// deepParameters are the path's variables that may hold slashes.
var deepParameters = strings.NewReplacer(
	"{path}", "{path:.*}", "{ref}", "{ref:.+}", "{branch}", "{branch:.+}", "{basehead}", "{basehead:.+}", "{tree_sha}", "{tree_sha:.+}",
)

var reference = regexp.MustCompile(`"\$ref":\s*"#/components/([^"]+)"`)

func references(body json.RawMessage) []string {
	var out []string
	for _, m := range reference.FindAllSubmatch(body, -1) {
		out = append(out, string(m[1]))
	}
	return out
}

// byLength lists the keys, those with more segments first.
func byLength[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := strings.Count(b, "/") - strings.Count(a, "/"); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return names
}
