package gitlabtest

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// audience is whom a route answers.
type audience int

const (
	anyone    audience = iota
	asUser             // somebody, with a token
	asAdmin            // an administrator
	onProject          // who sees the path's project: {id}
	onCode             // who may read the repository of the path's project
	onGroup            // who sees the path's group: {id}
)

type route struct {
	who audience
	// level is the role that the route needs in the project or group besides;
	// NoAccess for none.
	level  Level
	handle func(*Server, *call) (answer, error)
	// scopes are those that are enough besides api and, to read, read_api.
	scopes []string
}

// routes are the operations that the double has, by method and path. Each side
// of the double has a table of its own.
func routes() map[string]route {
	all := routesCore()
	maps.Copy(all, routesReview())
	return all
}

// deep parameters hold slashes that need not be escaped.
var deepParameters = strings.NewReplacer("{deep}", "{deep:.+}")

// apiRouter matches by the escaped path, as projects and files are named by
// their escaped paths in one segment. Fixed segments go before parameters.
func apiRouter() *mux.Router {
	router := mux.NewRouter().UseEncodedPath()
	names := slices.SortedFunc(maps.Keys(routes()), func(a, b string) int {
		return strings.Compare(strings.ReplaceAll(b, "{", "\x01"), strings.ReplaceAll(a, "{", "\x01"))
	})
	for _, name := range names {
		method, path, _ := strings.Cut(name, " ")
		router.Methods(method).Path(deepParameters.Replace(path)).Name(name)
		if method == http.MethodGet {
			router.Methods(http.MethodHead).Path(deepParameters.Replace(path)).Name(name)
		}
	}
	return router
}

// handler puts the doors side by side: the API, git, and the few web pages.
func (s *Server) handler() http.Handler {
	prefix := strings.TrimRight(s.opts.RelativeURL, "/")
	api := http.StripPrefix(prefix+"/api/v4", s.api(apiRouter()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, inside := strings.CutPrefix(r.URL.Path, prefix)
		switch git, isGit := gitserver.Parse(r); {
		case !inside || path != "" && path[0] != '/':
			http.NotFound(w, r)
		case strings.HasPrefix(path, "/api/v4/"):
			api.ServeHTTP(w, r)
		case isGit:
			git.Path = strings.TrimPrefix(git.Path, prefix)
			s.gitHTTP(w, r, git)
		default:
			s.page(w, r, path)
		}
	})
}
