package githubtest

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// audience is whom a route answers.
type audience int

const (
	anyone         audience = iota
	asApp                   // an app's JWT
	asAppOnRepo             // the same, the path names a repository
	asInstallation          // a token of an installation
	asUser                  // a token of a person
	onRepo                  // either of the two, with a permission on the path's repository
)

type route struct {
	who        audience
	permission string // "checks:write"; with | where one of several is enough
	handle     func(*Server, *call) (answer, error)
}

// routes are the operations that the double has, by method and path as
// GitHub's description writes them. What a repository's route needs of an
// installation is GitHub's table of permissions:
// https://docs.github.com/rest/authentication/permissions-required-for-github-apps
var routes = map[string]route{
	"GET /rate_limit": {anyone, "", (*Server).getRateLimit},

	"POST /app-manifests/{code}/conversions":                        {anyone, "", (*Server).convertManifest},
	"GET /app":                                                      {asApp, "", (*Server).getApp},
	"GET /app/installations":                                        {asApp, "", (*Server).listInstallations},
	"GET /app/installations/{installation_id}":                      {asApp, "", (*Server).getInstallation},
	"POST /app/installations/{installation_id}/access_tokens":       {asApp, "", (*Server).createToken},
	"GET /app/hook/config":                                          {asApp, "", (*Server).getHookConfig},
	"PATCH /app/hook/config":                                        {asApp, "", (*Server).updateHookConfig},
	"GET /app/hook/deliveries":                                      {asApp, "", (*Server).listDeliveries},
	"GET /app/hook/deliveries/{delivery_id}":                        {asApp, "", (*Server).getDelivery},
	"POST /app/hook/deliveries/{delivery_id}/attempts":              {asApp, "", (*Server).redeliver},
	"GET /repos/{owner}/{repo}/installation":                        {asAppOnRepo, "", (*Server).repoInstallation},
	"GET /installation/repositories":                                {asInstallation, "", (*Server).installationRepositories},
	"DELETE /installation/token":                                    {asInstallation, "", (*Server).revokeToken},
	"GET /user":                                                     {asUser, "", (*Server).getUser},
	"GET /user/installations":                                       {asUser, "", (*Server).userInstallations},
	"GET /user/installations/{installation_id}/repositories":        {asUser, "", (*Server).userInstallationRepositories},
	"GET /repos/{owner}/{repo}":                                     {onRepo, "metadata:read", (*Server).getRepo},
	"GET /repos/{owner}/{repo}/collaborators/{username}/permission": {onRepo, "metadata:read", (*Server).collaboratorPermission},

	"GET /repos/{owner}/{repo}/branches":                   {onRepo, "contents:read", (*Server).listBranches},
	"GET /repos/{owner}/{repo}/branches/{branch}":          {onRepo, "contents:read", (*Server).getBranch},
	"GET /repos/{owner}/{repo}/tags":                       {onRepo, "contents:read", (*Server).listTags},
	"GET /repos/{owner}/{repo}/contents/{path}":            {onRepo, "contents:read", (*Server).getContents},
	"GET /repos/{owner}/{repo}/git/trees/{tree_sha}":       {onRepo, "contents:read", (*Server).getTree},
	"GET /repos/{owner}/{repo}/git/blobs/{file_sha}":       {onRepo, "contents:read", (*Server).getBlob},
	"GET /repos/{owner}/{repo}/git/commits/{commit_sha}":   {onRepo, "contents:read", (*Server).getGitCommit},
	"GET /repos/{owner}/{repo}/git/tags/{tag_sha}":         {onRepo, "contents:read", (*Server).getTag},
	"GET /repos/{owner}/{repo}/git/ref/{ref}":              {onRepo, "contents:read", (*Server).getRef},
	"GET /repos/{owner}/{repo}/git/matching-refs/{ref}":    {onRepo, "contents:read", (*Server).matchingRefs},
	"GET /repos/{owner}/{repo}/commits":                    {onRepo, "contents:read", (*Server).listCommits},
	"GET /repos/{owner}/{repo}/commits/{ref}":              {onRepo, "contents:read", (*Server).getCommit},
	"GET /repos/{owner}/{repo}/compare/{basehead}":         {onRepo, "contents:read", (*Server).compare},
	"GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls": {onRepo, "pull_requests:read", (*Server).commitPulls},

	"POST /repos/{owner}/{repo}/statuses/{sha}":        {onRepo, "statuses:write", (*Server).createStatus},
	"GET /repos/{owner}/{repo}/commits/{ref}/statuses": {onRepo, "statuses:read", (*Server).listStatuses},
	"GET /repos/{owner}/{repo}/commits/{ref}/status":   {onRepo, "statuses:read", (*Server).combinedStatus},

	"POST /repos/{owner}/{repo}/check-runs":                              {onRepo, "checks:write", (*Server).createCheck},
	"GET /repos/{owner}/{repo}/check-runs/{check_run_id}":                {onRepo, "checks:read", (*Server).getCheck},
	"PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}":              {onRepo, "checks:write", (*Server).updateCheck},
	"GET /repos/{owner}/{repo}/check-runs/{check_run_id}/annotations":    {onRepo, "checks:read", (*Server).listAnnotations},
	"POST /repos/{owner}/{repo}/check-runs/{check_run_id}/rerequest":     {onRepo, "checks:write", (*Server).rerequest},
	"GET /repos/{owner}/{repo}/commits/{ref}/check-runs":                 {onRepo, "checks:read", (*Server).listChecks},
	"GET /repos/{owner}/{repo}/commits/{ref}/check-suites":               {onRepo, "checks:read", (*Server).listSuites},
	"GET /repos/{owner}/{repo}/check-suites/{check_suite_id}":            {onRepo, "checks:read", (*Server).getSuite},
	"GET /repos/{owner}/{repo}/check-suites/{check_suite_id}/check-runs": {onRepo, "checks:read", (*Server).listSuiteChecks},

	"GET /repos/{owner}/{repo}/pulls":                     {onRepo, "pull_requests:read", (*Server).listPulls},
	"POST /repos/{owner}/{repo}/pulls":                    {onRepo, "pull_requests:write", (*Server).createPull},
	"PATCH /repos/{owner}/{repo}/pulls/{pull_number}":     {onRepo, "pull_requests:write", (*Server).updatePull},
	"GET /repos/{owner}/{repo}/pulls/{pull_number}":       {onRepo, "pull_requests:read", (*Server).getPull},
	"GET /repos/{owner}/{repo}/pulls/{pull_number}/files": {onRepo, "pull_requests:read", (*Server).pullFiles},

	"GET /repos/{owner}/{repo}/issues/{issue_number}/comments":  {onRepo, "issues:read|pull_requests:read", (*Server).listComments},
	"POST /repos/{owner}/{repo}/issues/{issue_number}/comments": {onRepo, "issues:write|pull_requests:write", (*Server).createComment},
	"GET /repos/{owner}/{repo}/issues/comments":                 {onRepo, "issues:read|pull_requests:read", (*Server).listRepoComments},
	"GET /repos/{owner}/{repo}/issues/comments/{comment_id}":    {onRepo, "issues:read|pull_requests:read", (*Server).getComment},
	"PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}":  {onRepo, "issues:write|pull_requests:write", (*Server).updateComment},
	"DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}": {onRepo, "issues:write|pull_requests:write", (*Server).deleteComment},
	"GET /repos/{owner}/{repo}/commits/{commit_sha}/comments":   {onRepo, "metadata:read", (*Server).listCommitComments},
	"POST /repos/{owner}/{repo}/commits/{commit_sha}/comments":  {onRepo, "contents:read", (*Server).createCommitComment},
	"GET /repos/{owner}/{repo}/comments":                        {onRepo, "metadata:read", (*Server).listRepoCommitComments},
	"GET /repos/{owner}/{repo}/comments/{comment_id}":           {onRepo, "metadata:read", (*Server).getComment},
	"PATCH /repos/{owner}/{repo}/comments/{comment_id}":         {onRepo, "contents:write", (*Server).updateComment},
	"DELETE /repos/{owner}/{repo}/comments/{comment_id}":        {onRepo, "contents:write", (*Server).deleteComment},

	"GET /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions":                  {onRepo, "issues:read", (*Server).listReactions},
	"POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions":                 {onRepo, "issues:write|pull_requests:write", (*Server).createReaction},
	"DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions/{reaction_id}": {onRepo, "issues:write", (*Server).deleteReaction},
	"GET /repos/{owner}/{repo}/comments/{comment_id}/reactions":                         {onRepo, "metadata:read", (*Server).listReactions},
	"POST /repos/{owner}/{repo}/comments/{comment_id}/reactions":                        {onRepo, "contents:write", (*Server).createReaction},
	"DELETE /repos/{owner}/{repo}/comments/{comment_id}/reactions/{reaction_id}":        {onRepo, "contents:write", (*Server).deleteReaction},

	"GET /repos/{owner}/{repo}/deployments":                           {onRepo, "deployments:read", (*Server).listDeployments},
	"POST /repos/{owner}/{repo}/deployments":                          {onRepo, "deployments:write", (*Server).createDeployment},
	"GET /repos/{owner}/{repo}/deployments/{deployment_id}":           {onRepo, "deployments:read", (*Server).getDeployment},
	"GET /repos/{owner}/{repo}/deployments/{deployment_id}/statuses":  {onRepo, "deployments:read", (*Server).listDeploymentStatuses},
	"POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses": {onRepo, "deployments:write", (*Server).createDeploymentStatus},
}

// apiRouter matches longer paths first, so that commits/{ref} does not take
// commits/{ref}/status. Repositories answer by number too, which is where
// redirects lead.
func apiRouter() *mux.Router {
	router := mux.NewRouter()
	for _, name := range byLength(routes) {
		method, path, _ := strings.Cut(name, " ")
		router.Methods(method).Path(deepParameters.Replace(path)).Name(name)
		if rest, found := strings.CutPrefix(path, "/repos/{owner}/{repo}"); found {
			router.Methods(method).Path(deepParameters.Replace("/repositories/{repository_id:[0-9]+}" + rest)).Name(name)
		}
	}
	return router
}

// handler puts the doors side by side: the API (also under /api/v3), git, and
// the few web pages.
func (s *Server) handler() http.Handler {
	api := s.api(apiRouter())
	web := http.NewServeMux()
	web.HandleFunc("POST /settings/apps/new", s.newApp)
	web.HandleFunc("POST /organizations/{org}/settings/apps/new", s.newApp)
	web.HandleFunc("POST /login/oauth/access_token", s.accessToken)
	web.HandleFunc("GET /login/oauth/authorize", s.authorize)
	web.HandleFunc("GET /apps/{slug}/installations/new", s.installPage)
	web.HandleFunc("POST /apps/{slug}/installations/new", s.installApp)
	web.Handle("/api/v3/", http.StripPrefix("/api/v3", api))
	web.Handle("/", api)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if git, found := gitserver.Parse(r); found {
			s.gitHTTP(w, r, git)
			return
		}
		web.ServeHTTP(w, r)
	})
}
