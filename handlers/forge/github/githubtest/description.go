package githubtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
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

func loadDescription() (*apiDescription, error) {
	data, err := trimmed()
	if err != nil {
		return nil, err
	}
	var raw rawDescription
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("read GitHub's description: %w", err)
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
		d.webhooks[key] = doc.Components.Schemas[raw.webhook(key)].Value
	}
	return d, nil
}

// deepParameters are the path's variables that may hold slashes.
var deepParameters = strings.NewReplacer(
	"{path}", "{path:.*}", "{ref}", "{ref:.+}", "{branch}", "{branch:.+}", "{basehead}", "{basehead:.+}", "{tree_sha}", "{tree_sha:.+}",
)

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
